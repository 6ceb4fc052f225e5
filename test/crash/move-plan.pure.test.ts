import { expect, test } from "vitest";
import { randomOf } from "../../scripts/random.ts";
import { PHASES } from "../../worker/tenants/moving/move.ts";
import { planMoves } from "./move-plan.ts";

const SEEDS = Array.from({ length: 100 }, (_, i) => i + 1);
const plans = SEEDS.map((seed) => planMoves(randomOf(seed), { databases: 2, spreadTo: 5 }));

test("the moves of a run go up, and the last one to as many databases as are asked for", () => {
  for (const plan of plans) {
    const steps = [2, ...plan.map(({ to }) => to)];
    expect(steps).toEqual(steps.toSorted());
    expect(new Set(steps).size).toBe(steps.length);
    expect(steps.at(-1)).toBe(5);
  }
  expect(new Set(plans.map(({ length }) => length))).toEqual(new Set([2, 3]));
  expect(planMoves(randomOf(1), { databases: 2, spreadTo: 2 })).toEqual([]);
});

test("the service dies in every phase, once each, in their order, and always in the opening", () => {
  const moves = plans.flat();
  for (const { kills } of moves) {
    const places = kills.flatMap(({ phase }) => (phase ? PHASES.indexOf(phase) : []));
    expect(places).toEqual([...new Set(places)].toSorted());
    expect(places).toContain(PHASES.indexOf("opening"));
  }
  const seen = new Set(moves.flatMap(({ kills }) => kills.map(({ phase, isCalm }) => `${phase} ${isCalm}`)));
  expect(seen).toEqual(new Set(PHASES.flatMap((phase) => [`${phase} true`, `${phase} false`])));
  expect(new Set(moves.map(({ beginsCalm }) => beginsCalm))).toEqual(new Set([true, false]));
});

test("the same seed makes the same plan", () => {
  const plan = () => planMoves(randomOf(7), { databases: 1, spreadTo: 4 });
  expect(plan()).toEqual(plan());
});
