import type { TestSpecification } from "vitest/node";
import { BaseSequencer } from "vitest/node";

/** Those of a runtime in one go, so that each worker starts one; then the short ones, which end together. */
const PROJECTS = ["several databases", "runtime", "pure", "process", "crash"];

/** Files that take many times as long as most, the longest first. */
const LONG = [
  "/faults/faults.test.ts",
  "/faults/pipeline/pipeline.test.ts",
  "/http/bad-input.test.ts",
  "/compute/races.test.ts",
  "/compute/computed-features.test.ts",
  "/history/point-in-time.test.ts",
  "/writing/shared-data.test.ts",
  "/tenants/security.test.ts",
  "/http/system-a.test.ts",
  "/compute/streaming.test.ts",
  "/scripts/help.pure.test.ts",
  "/crash/checker.pure.test.ts",
  "/process/start.test.ts",
  "/process/concurrency.test.ts",
  "/process/readme.test.ts",
  "/process/fuzz.test.ts",
  "/process/statsd.test.ts",
  "/process/import.test.ts",
  "/process/cost.test.ts",
];

/** What takes longest begins first, so that no worker is left alone with it at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => projectPlace(a) - projectPlace(b) || lengthPlace(a) - lengthPlace(b));
  }
}

const projectPlace = ({ project }: TestSpecification) => PROJECTS.indexOf(project.name);

function lengthPlace({ moduleId }: TestSpecification): number {
  const place = LONG.findIndex((name) => moduleId.endsWith(name));
  return place < 0 ? LONG.length : place;
}
