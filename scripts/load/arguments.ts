/** The arguments of `npm run load`, checked. Pure. */
import { parseArgs } from "node:util";
import { faultOfNumber, type NumberRange, readUrl } from "../options.ts";

export interface LoadOptions {
  url: string;
  users: number;
  /** Requests a second. */
  rate: number;
  durationSeconds: number;
  key: string | null;
  seed: number;
  entities: number;
  timeoutSeconds: number;
}

export const USAGE = `
npm run load -- --url http://localhost:8787 --users 20 --rate 200 --duration 30

  --url       the running service
  --users     requests under way at a time, at most
  --rate      requests a second; never more
  --duration  seconds
  --key       an API key with the scopes read and write; none is needed in development
  --seed      another number makes other requests
  --entities  how many are read and written: load-0, load-1, …
  --timeout   seconds after which a request has failed

Nine of ten requests are reads. The entities are written before the clock starts.`;

const DEFAULTS = {
  url: { type: "string", default: "http://localhost:8787" },
  users: { type: "string", default: "20" },
  rate: { type: "string", default: "200" },
  duration: { type: "string", default: "30" },
  key: { type: "string" },
  seed: { type: "string", default: "1" },
  entities: { type: "string", default: "1000" },
  timeout: { type: "string", default: "10" },
} as const;

const MAX_USERS = 10_000;
const MAX_RATE = 100_000;
const MAX_SECONDS = 86_400;
const MAX_ENTITIES = 1_000_000;

/** @returns what is wrong with them, as a sentence, when something is. */
export function readArguments(args: string[]): LoadOptions | { fault: string } {
  let values: Record<string, string | undefined>;
  try {
    values = parseArgs({ args, options: DEFAULTS }).values;
  } catch (cause) {
    return { fault: cause instanceof Error ? cause.message : String(cause) };
  }
  const faults: string[] = [];
  const numberOf = (name: string, range: Partial<NumberRange>) => {
    const text = values[name]?.trim() ?? "";
    const fault = faultOfNumber(name, text, { least: 1, ...range });
    if (fault !== null) faults.push(fault);
    return Number(text);
  };
  const address = readUrl(values.url ?? "");
  if ("fault" in address) faults.push(address.fault);
  if (values.key === "") faults.push("--key must not be empty.");
  const options: LoadOptions = {
    url: "url" in address ? address.url : "",
    users: numberOf("users", { most: MAX_USERS }),
    rate: numberOf("rate", { most: MAX_RATE, least: 0.1, isWhole: false }),
    durationSeconds: numberOf("duration", { most: MAX_SECONDS, least: 0.1, isWhole: false }),
    key: values.key ?? null,
    seed: numberOf("seed", { most: Number.MAX_SAFE_INTEGER, least: 0 }),
    entities: numberOf("entities", { most: MAX_ENTITIES }),
    timeoutSeconds: numberOf("timeout", { most: MAX_SECONDS, least: 0.1, isWhole: false }),
  };
  const [fault] = faults;
  return fault === undefined ? options : { fault };
}
