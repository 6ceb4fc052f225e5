/**
 * Features of one category that are asked for one after the other. Where all values of a category share their time,
 * as nearly always, the answer is a text that stays for as long as the document, but for the age of its values: it is
 * put together once, and the age set in wherever a value has it.
 */
import type { ValueTally } from "../monitoring/value-tally.ts";
import type { CatalogVersion } from "../registry/catalog.ts";
import { type Resolved, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import { formatTimestamp, type Micros, microsOf } from "../timestamps.ts";
import { type DocumentCategory, valuesOf } from "./document.ts";
import { TimedBytes } from "./timed-bytes.ts";

/** What one name asked for is in the answer of every entity, written once for a question. */
export interface Asked {
  one: Resolved;
  /** The name, up to its value. */
  head: string;
  /** Its version, and what ends it. */
  tail: string;
  /** When nothing is found. */
  missing: string;
  /** The oldest that a value may be. */
  longest: Micros;
}

/** @param key The name in the answer. */
export function askedAs(
  key: string,
  one: Resolved,
  { version, maxAgeSeconds }: { version: CatalogVersion | null; maxAgeSeconds: number | null },
): Asked {
  const head = `${JSON.stringify(key)}:{"value":`;
  const tail = `,"version":${version?.version ?? null}}`;
  const limits = [maxAgeSeconds, version?.ttlSeconds ?? one.ttlSeconds].filter((limit) => limit !== null);
  return {
    one,
    head,
    tail,
    missing: `${head}${version?.defaultValue ?? "null"},"status":"NOT_FOUND","timestamp":null,"freshness_seconds":null${tail}`,
    longest: microsOf(Math.min(...limits)),
  };
}

export interface CategoryRun {
  category: string | null;
  asked: Asked[];
  /** Names of single features only, no `*`. */
  isPlain: boolean;
  /** The oldest that every value may be. */
  longest: Micros;
  /** Equal for runs of the same names with the same versions, whoever asks. */
  signature: string;
}

export function runsOf(asked: readonly Asked[]): CategoryRun[] {
  const runs: CategoryRun[] = [];
  for (const each of asked) {
    const { category, stored } = each.one;
    let run = runs.at(-1);
    if (!run || run.category !== category) {
      run = { category, asked: [], isPlain: true, longest: Number.POSITIVE_INFINITY, signature: "" };
      runs.push(run);
    }
    run.asked.push(each);
    run.isPlain &&= stored !== WHOLE_CATEGORY;
    run.longest = Math.min(run.longest, each.longest);
    // The stored name too: a name that was asked for moves to another version when that is activated.
    run.signature += `${JSON.stringify(stored)}${each.missing}`;
  }
  return runs;
}

/** The answer of a run, but for the age of its values. */
interface Prepared {
  signature: string;
  bytes: TimedBytes;
  present: number;
  nulls: number;
  missing: number;
}

/** For each category the run that was asked for last, since the next request mostly asks the same. */
const prepared = new WeakMap<DocumentCategory, Prepared>();

/**
 * @param found All of its values share its event time, and none is too old.
 * @param freshness Their age as it stands in an answer.
 * @returns bytes that are valid until the category is asked for again.
 */
export function sharedBytes(
  found: DocumentCategory,
  run: CategoryRun,
  { freshness, age, tally }: { freshness: string; age: Micros; tally: ValueTally | undefined },
): Uint8Array {
  let known = prepared.get(found);
  if (known?.signature !== run.signature) {
    known = prepare(found, run);
    // Not what mostly says that something is missing: it may be many times what the category holds.
    if (known.missing <= known.present + known.nulls) prepared.set(found, known);
  }
  if (tally) {
    if (known.present > 0) tally.present(age, known.present);
    tally.NULL_VALUE += known.nulls;
    tally.NOT_FOUND += known.missing;
  }
  return known.bytes.with(freshness);
}

function prepare(found: DocumentCategory, { asked, signature }: CategoryRun): Prepared {
  const values = valuesOf(found);
  const time = `"timestamp":"${formatTimestamp(found.eventTime)}","freshness_seconds":`;
  const parts: string[] = [];
  let [text, nulls, missing] = ["", 0, 0];
  for (const { one, head, tail, missing: whenMissing } of asked) {
    if (text !== "" || parts.length > 0) text += ",";
    const json = values.get(one.stored);
    if (json === undefined) {
      missing += 1;
      text += whenMissing;
      continue;
    }
    const isNull = json === "null";
    if (isNull) nulls += 1;
    parts.push(`${text}${head}${json},"status":"${isNull ? "NULL_VALUE" : "PRESENT"}",${time}`);
    text = tail;
  }
  parts.push(text);
  const present = asked.length - nulls - missing;
  return { signature, bytes: new TimedBytes(parts), present, nulls, missing };
}
