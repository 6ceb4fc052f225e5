import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AnswersUnderWay } from "../../worker/compute/answers-under-way.ts";
import { FOLLOWER_LEASE_MS } from "../../worker/timings.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Asks with a key; `told` fills up with who was told what, in order. */
function asking() {
  const underWay = new AnswersUnderWay();
  const answers = new Map<string, string>();
  const told: [who: string, what: string | null][] = [];
  const ask = (who: string, key = "k") =>
    underWay.answerOrBegin(key, () => answers.get(key) ?? null).then((what) => void told.push([who, what]));
  return { underWay, answers, told, ask, settled: () => vi.advanceTimersByTimeAsync(0) };
}

test("who comes while another is answering is told its answer", async () => {
  const { underWay, answers, told, ask, settled } = asking();
  for (const who of ["first", "second", "third"]) void ask(who);
  await settled();
  expect(told).toEqual([["first", null]]);
  answers.set("k", "answer");
  underWay.end("k");
  await settled();
  expect(told).toEqual([
    ["first", null],
    ["second", "answer"],
    ["third", "answer"],
  ]);
  await ask("later");
  expect(told.at(-1)).toEqual(["later", "answer"]);
});

test("where one gives up, one of those who wait is next, and the others wait on", async () => {
  const { underWay, answers, told, ask, settled } = asking();
  for (const who of ["first", "second", "third"]) void ask(who);
  await settled();
  underWay.end("k");
  await settled();
  expect(told).toEqual([
    ["first", null],
    ["second", null],
  ]);
  answers.set("k", "answer");
  underWay.end("k");
  await settled();
  expect(told.at(-1)).toEqual(["third", "answer"]);
});

test("nobody waits longer than a computation may take for one that has died", async () => {
  const { told, ask } = asking();
  void ask("first");
  void ask("second");
  await vi.advanceTimersByTimeAsync(FOLLOWER_LEASE_MS - 1);
  expect(told).toEqual([["first", null]]);
  await vi.advanceTimersByTimeAsync(1);
  expect(told.at(-1)).toEqual(["second", null]);
});

test("another key waits for nobody", async () => {
  const { told, ask, settled } = asking();
  void ask("first");
  void ask("other", "another key");
  await settled();
  expect(told).toEqual([
    ["first", null],
    ["other", null],
  ]);
});
