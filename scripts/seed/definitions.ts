/** The feature definitions of the sample data, read from `features.yaml`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import * as z from "zod";
import { registerBody } from "../../worker/registry/definitions.ts";

// What the service itself checks a registration with, but without room for a misspelled field.
const definitionsFile = z.strictObject({ features: z.array(z.strictObject(registerBody().shape)).min(1) });

/** What is sent to register a feature. */
export type FeatureDefinition = z.input<typeof definitionsFile>["features"][number];

/** @throws Error naming every fault, by its place in the file. */
export function readDefinitions(path = join(import.meta.dirname, "features.yaml")): FeatureDefinition[] {
  const content = parse(readFileSync(path, "utf8"));
  const checked = definitionsFile.safeParse(content);
  if (!checked.success) throw new Error(`${path}:\n${z.prettifyError(checked.error)}`);
  // As it is written, not as it was parsed: the service fills in what is left out.
  return content.features;
}
