/** The checker itself: it accepts what a store without faults shows, and finds every fault that is planted. */
import { expect, test } from "vitest";
import { randomOf } from "../../scripts/random.ts";
import { checkHistory } from "./check.ts";
import { linearize } from "./linearize.ts";
import { smallestOffending } from "./offending.ts";
import { PLANTED_EVENTS } from "./planted-events.ts";
import { PLANTED_MOVES } from "./planted-moves.ts";
import { PLANTED_READS } from "./planted-reads.ts";
import { PLANTED_WRITES } from "./planted-writes.ts";
import { randomHistory } from "./random-history.ts";
import { canBeOrdered, tinyHistory } from "./tiny-histories.ts";

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);

test("every history of a correct store is accepted, whatever overlaps, is lost or repeated", () => {
  for (let seed = 1; seed <= 300; seed++) {
    expect(checkHistory(randomHistory(seed)), `seed ${seed}`).toEqual([]);
  }
});

test("with many clients and many lost answers too", () => {
  for (let seed = 1_000; seed < 1_010; seed++) {
    const history = randomHistory(seed, { steps: 1_500, entities: 3, clients: 32, lost: 0.2 });
    expect(history.operations.filter(({ outcome }) => outcome.kind === "unknown").length).toBeGreaterThan(
      100,
    );
    expect(checkHistory(history), `seed ${seed}`).toEqual([]);
  }
});

test("the histories have all that can happen", () => {
  const kinds = new Set(
    SEEDS.flatMap((seed) =>
      randomHistory(seed).operations.map(({ action, outcome }) =>
        action.kind === "read"
          ? `${action.consistency} ${outcome.kind}`
          : `${action.change.kind}${action.ifRevision === null ? "" : " if_revision"} ${outcome.kind}`,
      ),
    ),
  );
  expect([...kinds].sort()).toEqual([
    "delete applied",
    "delete unchanged",
    "delete unknown",
    "edge nothing",
    "edge seen",
    "session nothing",
    "session seen",
    "strong nothing",
    "strong seen",
    "write applied",
    "write if_revision applied",
    "write if_revision refused",
    "write if_revision unchanged",
    "write if_revision unknown",
    "write unchanged",
    "write unknown",
  ]);
});

test.each([...PLANTED_WRITES, ...PLANTED_READS, ...PLANTED_EVENTS, ...PLANTED_MOVES])(
  "it finds: $fault",
  ({ plant, rules }) => {
    let planted = 0;
    for (const seed of SEEDS) {
      const history = randomHistory(seed);
      if (!plant(history, randomOf(seed))) continue;
      planted += 1;
      const found = checkHistory(history).map(({ rule }) => rule);
      expect(
        found.filter((rule) => rules.includes(rule)),
        `seed ${seed} of ${found}`,
      ).not.toEqual([]);
    }
    expect(planted, "places for the fault").toBeGreaterThan(SEEDS.length / 8);
  },
);

test("of an entity whose operations fit no order it shows the smallest part that does not", () => {
  const [lostWrite] = PLANTED_WRITES;
  for (const seed of SEEDS.slice(0, 10)) {
    const history = randomHistory(seed);
    if (!lostWrite?.plant(history, randomOf(seed))) continue;
    const [{ entity } = { entity: "" }] = checkHistory(history);
    const [size = "", ...lines] = smallestOffending(history, entity) ?? [];
    expect(Number.parseInt(size, 10), size).toBeLessThan(history.operations.length / 2);
    expect(lines.join("\n")).toContain("last of client 998");
    expect(smallestOffending(randomHistory(seed), entity)).toBe(null);
  }
});

test("of small histories, right and wrong, it says what trying every order says", () => {
  const verdicts = { fits: 0, impossible: 0 };
  for (let seed = 1; seed <= 3_000; seed++) {
    const operations = tinyHistory(seed);
    const { kind } = linearize(operations, { revisions: new Map(), witnesses: [], announced: null });
    expect(kind, `seed ${seed}`).toBe(canBeOrdered(operations) ? "fits" : "impossible");
    if (kind !== "undecided") verdicts[kind] += 1;
  }
  expect(verdicts.fits).toBeGreaterThan(300);
  expect(verdicts.impossible).toBeGreaterThan(300);
});
