/** Values that fit a JSON schema, as arbitraries of fast-check. */
import fc from "fast-check";
import { exampleOf, type OpenApi, presentOf, resolve, type Schema } from "../setup/openapi.ts";
import type { Known } from "./known.ts";

/** What the document's schemas say beside the parts that {@link Schema} names. */
interface Bounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  format?: string;
}

export interface Source {
  document: OpenApi;
  known: Known;
}

/** Deeper than this only what is required is made: a schema may contain itself. */
const MAX_DEPTH = 6;
/** Of lists and texts; their limits are tested elsewhere, and every request costs time. */
const MAX_MADE_ITEMS = 4;
const MAX_MADE_CHARACTERS = 40;

const texts = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[A-Za-z_][\w.-]{0,20}$/) },
  { weight: 2, arbitrary: fc.string({ unit: "grapheme", maxLength: MAX_MADE_CHARACTERS }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("__proto__", "constructor", "toString", " ", "é", "💥", "a:b", "a@1"),
  },
);

const instants = fc
  .date({ min: new Date("1971-01-01"), max: new Date("2190-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());

const anything = fc.jsonValue({ maxDepth: 3, depthSize: "small" });

/** Values around the schema's own example: most stay as they are, and most requests made so succeed. */
export function aroundExample(source: Source, given: Schema, name = ""): fc.Arbitrary<unknown> {
  const example = local(exampleOf(source.document, given));
  return near(source, given, { example, isShown: false, name, depth: 0 });
}

interface Place {
  example: unknown;
  /** Whether the document gives the example; else it is just the plainest value of its type. */
  isShown: boolean;
  name: string;
  depth: number;
}

function near(source: Source, given: Schema, place: Place): fc.Arbitrary<unknown> {
  const schema = presentOf(source.document, given);
  const { example, name, depth } = place;
  const parts = [schema.example, schema.examples, schema.default, schema.enum];
  const isShown = place.isShown || parts.some((part) => part !== undefined);
  const made = valid(source, given, name, depth);
  if (Array.isArray(example) && example.length > 0) {
    const items = example.map((part) =>
      near(source, schema.items ?? {}, { example: part, isShown, name, depth: depth + 1 }),
    );
    return fc.oneof({ weight: 4, arbitrary: fc.tuple(...items) }, { weight: 1, arbitrary: made });
  }
  if (typeof example === "object" && example !== null && !Array.isArray(example)) {
    return nearObject(source, schema, { example, isShown, name, depth });
  }
  return fc.oneof(
    { weight: isShown ? 30 : 1, arbitrary: fc.constant(example) },
    { weight: isScalar(schema) ? 4 : 0, arbitrary: knownOr(source, name, fc.constant(example)) },
    { weight: 2, arbitrary: made },
    // What makes something needs a name that nothing has.
    { weight: name === "name" ? 20 : 0, arbitrary: fc.stringMatching(/^[a-z]{8}$/) },
  );
}

function nearObject(
  source: Source,
  schema: Schema,
  { example, isShown, depth }: Place,
): fc.Arbitrary<unknown> {
  const shown = Object.entries(example as object);
  const own = shown.map(([name, part]) => {
    const inner = schema.properties?.[name] ?? {};
    return [name, near(source, inner, { example: part, isShown, name, depth: depth + 1 })] as const;
  });
  const more = Object.entries(schema.properties ?? {})
    .filter(([name]) => !shown.some(([known]) => known === name))
    .map(([name, inner]) => [name, valid(source, inner, name, depth + 1)] as const);
  const added =
    more.length === 0
      ? fc.constant<[string, unknown][]>([])
      : fc.array(
          fc
            .constantFrom(...more)
            .chain(([name, value]) => value.map((made) => [name, made] as [string, unknown])),
          {
            maxLength: 2,
          },
        );
  const dropped = own.map(([name]) => {
    if (schema.required?.includes(name)) return fc.constant(false);
    const isCondition = /^Refused with/.test(
      presentOf(source.document, schema.properties?.[name] ?? {}).description ?? "",
    );
    return fc.nat(9).map((n) => (isCondition ? n !== 9 : n === 9));
  });
  return fc
    .tuple(fc.tuple(...own.map(([, value]) => value)), fc.tuple(...dropped), added, fc.nat(3))
    .map(([values, isDropped, extra, unlessZero]) =>
      Object.fromEntries([
        ...own.map(([name], i) => [name, values[i]] as const).filter((_, i) => !isDropped[i]),
        ...(unlessZero === 0 ? extra : []),
      ]),
    );
}

function knownOr(source: Source, name: string, other: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const values = source.known.get(name) ?? [];
  return values.length > 0 ? fc.constantFrom(...values) : other;
}

/** Values that fit the schema, from its words alone, and what exists under that name. */
export function valid(source: Source, given: Schema, name = "", depth = 0): fc.Arbitrary<unknown> {
  const schema = (resolve(source.document, given) ?? {}) as Schema & Bounds;
  const own = fromWords(source, schema, name, depth);
  const hasKnown = (source.known.get(name)?.length ?? 0) > 0 && isScalar(schema);
  return hasKnown
    ? fc.oneof({ weight: 2, arbitrary: knownOr(source, name, own) }, { weight: 1, arbitrary: own })
    : own;
}

const isScalar = ({ type, enum: listed, anyOf }: Schema) =>
  listed === undefined &&
  anyOf === undefined &&
  ![type].flat().some((each) => each === "object" || each === "array" || each === "null");

function fromWords(
  source: Source,
  schema: Schema & Bounds,
  name: string,
  depth: number,
): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (parts) return fc.oneof(...parts.map((part) => valid(source, part, name, depth)));
  const [type, ...others] = [schema.type ?? []].flat();
  if (others.length > 0) {
    return fc.oneof(
      ...[type, ...others].map((each) => ofType(source, { ...schema, type: each ?? "null" }, name, depth)),
    );
  }
  return ofType(source, schema, name, depth);
}

function ofType(source: Source, schema: Schema & Bounds, name: string, depth: number): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case "string":
      return ofText(schema);
    case "integer":
      return fc.integer({
        min: Math.max(lowest(schema), -100),
        max: Math.min(schema.maximum ?? 1_000, 1_000_000),
      });
    case "number":
      return fc.double({
        min: Math.max(lowest(schema), -1e9),
        max: Math.min(schema.maximum ?? 1e9, 1e9),
        noNaN: true,
      });
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "array": {
      const { minItems = 0, maxItems = MAX_MADE_ITEMS } = schema;
      const maxLength = Math.max(minItems, Math.min(maxItems, MAX_MADE_ITEMS));
      return fc.array(valid(source, schema.items ?? {}, name, depth + 1), { minLength: minItems, maxLength });
    }
    case "object":
      return ofObject(source, schema, depth);
    default:
      return anything;
  }
}

function lowest({ minimum, exclusiveMinimum, type }: Schema & Bounds): number {
  if (exclusiveMinimum !== undefined) return exclusiveMinimum + (type === "integer" ? 1 : 1e-3);
  return minimum ?? -1e9;
}

function ofText({
  pattern,
  format,
  description,
  example,
  minLength = 0,
  maxLength,
}: Schema & Bounds): fc.Arbitrary<unknown> {
  const isTime = /ISO 8601/.test(description ?? "") || format === "date-time";
  if (isTime) return instants;
  const shown = typeof example === "string" ? local(example) : null;
  if (format === "uri" || (typeof shown === "string" && shown.startsWith("http"))) {
    return fc.stringMatching(/^[a-z]{1,8}$/).map((path) => `https://${NOWHERE}/${path}`);
  }
  if (pattern)
    return fc.stringMatching(new RegExp(pattern)).filter((text) => text.length <= (maxLength ?? text.length));
  return texts.filter((text) => text.length >= minLength && text.length <= (maxLength ?? text.length));
}

function ofObject(source: Source, schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const entries = Object.entries(properties).filter(([name]) => depth < MAX_DEPTH || required.includes(name));
  const fixed = fc.record(
    Object.fromEntries(entries.map(([name, inner]) => [name, valid(source, inner, name, depth + 1)])),
    { requiredKeys: required.filter((name) => name in properties) },
  );
  if (!additionalProperties) return fixed;
  const inner =
    typeof additionalProperties === "object" ? valid(source, additionalProperties, "", depth + 1) : anything;
  const others = fc.array(fc.tuple(texts, inner), { minLength: 1, maxLength: MAX_MADE_ITEMS });
  return fc.tuple(fixed, others).map(([own, more]) => Object.fromEntries([...more, ...Object.entries(own)]));
}

/** What a generated subscription points to is nobody, and known to be so at once: no name that a resolver is asked for. */
const NOWHERE = "127.0.0.1:9";

/** The example with every address in it pointing nowhere. */
export function local(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/^(https?):\/\/[^/?#]+/, `$1://${NOWHERE}`);
  if (Array.isArray(value)) return value.map(local);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, local(part)]));
}
