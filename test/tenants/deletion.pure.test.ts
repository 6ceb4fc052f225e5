import { expect, test } from "vitest";
import {
  afterPiece,
  type Deletion,
  NEW_DELETION,
  parseDeletion,
  STEPS,
} from "../../worker/tenants/deleting/deletion.ts";
import { DELETION_LATE_MS } from "../../worker/timings.ts";

const NOW = 1_000_000;
const NOTHING = { removed: 0, isMore: false };
const LAST = STEPS.at(-1) ?? "files";

const at = (over: Partial<Deletion>): Deletion => ({ ...NEW_DELETION, ...over });

test("what is written is read", () => {
  const deletion = at({ run: 3, cursor: "x" });
  expect(parseDeletion(JSON.stringify(deletion))).toEqual(deletion);
  expect(() => parseDeletion(JSON.stringify({ ...deletion, step: "other" }))).toThrow();
});

test("a sweep goes through all steps in their order", () => {
  const seen: string[] = [];
  let deletion: Deletion | null = NEW_DELETION;
  while (deletion && deletion.sweep === 1) {
    seen.push(deletion.step);
    deletion = afterPiece(deletion, NOTHING, NOW);
  }
  expect(seen).toEqual([...STEPS]);
});

test("a step that has more to do goes on where it was; the next one begins at its beginning", () => {
  const more = afterPiece(at({ step: "documents" }), { removed: 2, isMore: true, cursor: "place" }, NOW);
  expect(more).toEqual(at({ step: "documents", cursor: "place", found: 2, removed: 2 }));
  const next = more && afterPiece(more, { removed: 1, isMore: false }, NOW);
  expect(next).toEqual(at({ step: "files", found: 3, removed: 3 }));
});

test.each([
  ["the first, though it has found nothing", { sweep: 1 }, NOTHING],
  ["one that has found something before", { sweep: 2, found: 1, removed: 5 }, NOTHING],
  ["one that finds something at its end", { sweep: 9 }, { removed: 1, isMore: false }],
])("there is another sweep, later, after %s", (_, over, piece) => {
  const before = at({ ...over, step: LAST });
  expect(afterPiece(before, piece, NOW)).toEqual({
    ...before,
    step: STEPS[0],
    sweep: before.sweep + 1,
    found: 0,
    removed: before.removed + piece.removed,
    fromMs: NOW + DELETION_LATE_MS,
  });
});

test("a later sweep that finds nothing is the last", () => {
  expect(afterPiece(at({ sweep: 2, step: LAST, removed: 5 }), NOTHING, NOW)).toBeNull();
});
