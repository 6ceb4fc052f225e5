/** How much work a reading of a query is, where time would depend on the machine. */
import type { Shape } from "../../../worker/compute/sql/shape.ts";

/** @returns how often anybody has looked into one of its selects since. */
export function countLooks({ selects }: Shape): () => number {
  let looks = 0;
  for (const select of selects) {
    const { cores } = select;
    Object.defineProperty(select, "cores", {
      get: () => {
        looks += 1;
        return cores;
      },
    });
  }
  return () => looks;
}
