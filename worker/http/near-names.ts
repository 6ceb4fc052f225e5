/**
 * Fields that no schema knows are passed over, as FastAPI does; but not those that are nearly the name of one: passed
 * over, `max_age` or `maxAgeSeconds` in place of `max_age_seconds` would lose what the caller meant. Pure.
 */
import type * as z from "zod";
import type { Fault } from "../errors.ts";
import { MAX_COMPARED_NAMES, MAX_NAMED_FAULTS } from "../limits.ts";

type Loc = (string | number)[];

/** The names that a schema knows in its objects; null: none that could be missed. */
interface Names {
  fields: ReadonlyMap<string, Names | null>;
  /** Of an array. */
  element: Names | null;
}

const known = new WeakMap<z.core.$ZodType, Names | null>();

/**
 * @param value What the schema has found to fit.
 * @param at Where it stands in the request.
 */
export function nearNames(schema: z.core.$ZodType, value: unknown, at: Loc): Fault[] {
  const faults: Fault[] = [];
  const names = namesOf(schema);
  if (names) collect(names, value, { at, faults, compared: { left: MAX_COMPARED_NAMES } });
  return faults;
}

interface Search {
  at: Loc;
  faults: Fault[];
  /** Names that may still be compared: a body of a hundred thousand others must not take long. */
  compared: { left: number };
}

function collect({ fields, element }: Names, value: unknown, { at, faults, compared }: Search): void {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    if (element)
      for (const [i, one] of value.entries()) collect(element, one, { at: [...at, i], faults, compared });
    return;
  }
  for (const [name, own] of Object.entries(value)) {
    const inner = fields.get(name);
    if (inner) collect(inner, own, { at: [...at, name], faults, compared });
    if (inner !== undefined || compared.left === 0 || faults.length === MAX_NAMED_FAULTS) continue;
    compared.left -= 1;
    // Who has given the field knows its name, and means something else by this one.
    const meant = [...fields.keys()].find((field) => !Object.hasOwn(value, field) && isNear(name, field));
    if (meant === undefined) continue;
    faults.push({
      loc: [...at, name],
      msg: `is not known here: is \`${meant}\` meant?`,
      type: "unknown_field",
    });
  }
}

/** The longest names that are compared; any field's is shorter. */
const LONGEST = 40;

/** Whether somebody who wrote the one may have meant the other. */
export function isNear(written: string, field: string): boolean {
  if (written.length > LONGEST) return false;
  const [a, b] = [plain(written), plain(field)];
  if (a === b || `${a}s` === b || a === `${b}s` || field.startsWith(`${written.toLowerCase()}_`)) return true;
  const most = Math.min(a.length, b.length) < 5 ? 0 : Math.min(a.length, b.length) < 8 ? 1 : 2;
  return Math.abs(a.length - b.length) <= most && distance(a, b) <= most;
}

/** `maxAgeSeconds`, `max-age-seconds` and `max_age_seconds` are one. */
const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");

/** Letters to put, take away or change (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function namesOf(schema: z.core.$ZodType): Names | null {
  const there = known.get(schema);
  if (there !== undefined) return there;
  const made = makeNames(schema);
  known.set(schema, made);
  return made;
}

/** An object that takes any field, or refuses every other one, has none that could be missed. */
function makeNames(schema: z.core.$ZodType): Names | null {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object": {
      if (def.catchall) return null;
      const fields = Object.entries(def.shape).map(([name, own]) => [name, namesOf(own)] as const);
      return { fields: new Map(fields), element: null };
    }
    case "array": {
      const element = namesOf(def.element);
      return element && { fields: new Map(), element };
    }
    case "lazy":
      return namesOf(def.getter());
    case "optional":
    case "nullable":
    case "default":
    case "prefault":
      return namesOf(def.innerType);
    case "pipe":
      return namesOf(def.in) ?? namesOf(def.out);
    default:
      return null;
  }
}
