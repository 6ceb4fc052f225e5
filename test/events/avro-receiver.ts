import { readFileSync } from "node:fs";
import { join } from "node:path";
import avsc from "avsc";

const FILE = join(import.meta.dirname, "../../worker/events/feature-available.avsc");

/** What a receiver makes of the schema file, with an Avro library of its own. */
export const receiverType = avsc.Type.forSchema(JSON.parse(readFileSync(FILE, "utf8")));
