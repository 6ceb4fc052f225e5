/**
 * Features of one category that are asked for one after the other. Where all values of a category share their time,
 * as nearly always, the answer is a text that stays for as long as the document, but for that time: it is put together
 * once, and the time set in wherever a value has it.
 */
import type { ValueTally } from "../monitoring/value-tally.ts";
import { type Resolved, WHOLE_CATEGORY } from "../registry/resolve-references.ts";
import type { Micros } from "../timestamps.ts";
import { type DocumentCategory, valuesOf } from "./document.ts";

/** What one name asked for is in the answer of every entity, written once for a request. */
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

export interface CategoryRun {
  category: string | null;
  asked: Asked[];
  /** Names of single features only, no `*`. */
  isPlain: boolean;
  /** The oldest that every value may be. */
  longest: Micros;
  /** The same for the same names with the same versions, whoever asks. */
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

/** The text of a run, without the time of its values. */
interface Prepared {
  signature: string;
  /** The time stands between each and the next. */
  parts: string[];
  present: number;
  nulls: number;
  missing: number;
}

/** Of each category the run that was asked for last: whoever asks again asks the same, mostly. */
const prepared = new WeakMap<DocumentCategory, Prepared>();

/** @param time The event time of all values of the category, as it stands in an answer; none is too old. */
export function sharedText(
  found: DocumentCategory,
  run: CategoryRun,
  { time, age, tally }: { time: string; age: Micros; tally: ValueTally | undefined },
): string {
  let known = prepared.get(found);
  if (known?.signature !== run.signature) {
    known = prepare(found, run);
    prepared.set(found, known);
  }
  if (tally) {
    if (known.present > 0) tally.present(age, known.present);
    tally.NULL_VALUE += known.nulls;
    tally.NOT_FOUND += known.missing;
  }
  // Not joined: every join copies, and the answer is copied once more as a whole.
  let text = "";
  for (const part of known.parts) text += text === "" ? part : time + part;
  return text;
}

function prepare(found: DocumentCategory, { asked, signature }: CategoryRun): Prepared {
  const values = valuesOf(found);
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
    parts.push(`${text}${head}${json},"status":"${isNull ? "NULL_VALUE" : "PRESENT"}",`);
    text = tail;
  }
  parts.push(text);
  return { signature, parts, present: asked.length - nulls - missing, nulls, missing };
}
