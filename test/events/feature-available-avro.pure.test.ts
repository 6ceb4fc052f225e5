import { readFileSync } from "node:fs";
import { join } from "node:path";
import avsc from "avsc";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { encodeEvent } from "../../worker/events/encode-event.ts";
import { type FeatureAvailable, featureAvailable } from "../../worker/events/feature-available.ts";
import { featureAvailableType } from "../../worker/events/feature-available-avro.ts";

const HEADER_BYTES = 10;
/** avsc takes no larger one. An entity is never written that often. */
const MAX_LONG = 2 ** 53 - 2;
const FILE = join(import.meta.dirname, "../../worker/events/feature-available.avsc");
/** What a receiver makes of the schema file, with a whole avsc of its own. */
const receiverType = avsc.Type.forSchema(JSON.parse(readFileSync(FILE, "utf8")));

const EVENT: FeatureAvailable = {
  event_id: "0b9d9d0c-3c1e-4a61-9d9a-3a7f6a1f2b3c",
  event_type: "feature_available",
  timestamp: "2025-10-13T09:15:51.358632+00:00",
  event_timestamp: "2025-10-13T09:00:00.000000+00:00",
  entity_type: "bright_uid",
  entity_id: "語",
  resource_type: "feature",
  resource_name: "user_features",
  compute_id: "c-1",
  features: ["age", "__proto__"],
  features_truncated: false,
  tenant_id: "default",
  revision: 300,
  schema_version: 1,
};

/**
 * {@link EVENT} by hand, after the Avro specification: a record is its fields one after the other; a string its length
 * in bytes and those bytes; a length, int or long is zigzag (n becomes 2n) in groups of seven bits, the lowest first,
 * the eighth bit set on all but the last; a union is the index of its branch and the value; an array is a count, that
 * many items, and a count of 0; a boolean one byte.
 */
const RECORD = [
  // 36 characters: 0x48
  "48 30623964396430632d336331652d346136312d396439612d336137663661316632623363",
  // 17: 0x22, "feature_available"
  "22 666561747572655f617661696c61626c65",
  // 32: 0x40
  "40 323032352d31302d31335430393a31353a35312e3335383633322b30303a3030",
  "40 323032352d31302d31335430393a30303a30302e3030303030302b30303a3030",
  // 10: 0x14, "bright_uid"
  "14 6272696768745f756964",
  // One character, three bytes: 0x06
  "06 e8aa9e",
  // 7: 0x0e, "feature"; 13: 0x1a, "user_features"
  "0e 66656174757265",
  "1a 757365725f6665617475726573",
  // The union's second branch, index 1: 0x02; 3: 0x06, "c-1"
  "02 06 632d31",
  // Two items: 0x04; "age"; 9: 0x12, "__proto__"; the end
  "04 06 616765 12 5f5f70726f746f5f5f 00",
  // false
  "00",
  // "default"
  "0e 64656661756c74",
  // 300, zigzag 600 = 4 * 128 + 88: 0x58 with the eighth bit, then 4
  "d8 04",
  // 1
  "02",
];

test("an event is the bytes that the specification says", () => {
  const { body, contentType } = encodeEvent(EVENT, "avro");
  expect(contentType).toBe("avro/binary");
  expect(hex(body.subarray(HEADER_BYTES))).toBe(RECORD.join("").replaceAll(" ", ""));
});

test("in front stand the mark of single-object encoding and the schema's CRC-64-AVRO, little endian", () => {
  const fingerprint = new Uint8Array(8);
  // The type's own schema is its canonical form: no documentation, full names, attributes in the standard order.
  new DataView(fingerprint.buffer).setBigUint64(
    0,
    crc64Avro(JSON.stringify(featureAvailableType.schema())),
    true,
  );
  expect(hex(encodeEvent(EVENT, "avro").body.subarray(0, HEADER_BYTES))).toBe(`c301${hex(fingerprint)}`);
});

test("the fingerprint's algorithm is that of the specification", () => {
  // From the test data of Apache Avro, share/test/data/schema-tests.txt.
  expect(crc64Avro('"null"')).toBe(7_195_948_357_588_979_594n);
  expect(BigInt.asIntN(64, crc64Avro('"boolean"'))).toBe(-6_970_731_678_124_411_036n);
  const record = avsc.Type.forSchema({
    type: "record",
    name: "foo",
    doc: "?",
    fields: [{ name: "f1", type: "boolean" }],
  });
  expect(crc64Avro(JSON.stringify(record.schema()))).toBe(7_843_277_075_252_814_651n);
});

test("the schema file and the codec are one schema", () => {
  expect(receiverType.schema()).toEqual(featureAvailableType.schema());
});

test("Avro and the event's own schema have the same fields of the same types, in the same order", () => {
  const { properties = {} } = z.toJSONSchema(featureAvailable);
  const expected = Object.entries(properties).map(([name, property]) => ({ name, type: avroOf(property) }));
  const schema: { fields?: { name: string; type: unknown }[] } = JSON.parse(
    JSON.stringify(featureAvailableType.schema()),
  );
  expect(schema.fields).toEqual(expected);
});

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "__proto__", "constructor", "toString", "語", "👩‍🔬", "\0"),
);
const anyEvent: fc.Arbitrary<FeatureAvailable> = fc.record({
  event_id: fc.uuid(),
  event_type: fc.constant("feature_available" as const),
  timestamp: text,
  event_timestamp: text,
  entity_type: text,
  entity_id: text,
  resource_type: fc.constant("feature" as const),
  resource_name: text,
  compute_id: fc.option(text),
  features: fc.array(text, { size: "medium" }),
  features_truncated: fc.boolean(),
  tenant_id: text,
  revision: fc.integer({ min: 1, max: MAX_LONG }),
  schema_version: fc.constant(1 as const),
});

test("a receiver with the schema file reads every event as it was", () => {
  fc.assert(
    fc.property(anyEvent, (event) => {
      const { body } = encodeEvent(event, "avro");
      const read = receiverType.fromBuffer(Buffer.from(body.subarray(HEADER_BYTES)));
      expect({ ...read }).toEqual(event);
    }),
  );
});

test("an event with as many names as a message holds survives, too", () => {
  const event = {
    ...EVENT,
    features: Array.from({ length: 5_000 }, (_, index) => `${index}`.padEnd(19, "x")),
  };
  const { body } = encodeEvent(event, "avro");
  expect({ ...receiverType.fromBuffer(Buffer.from(body.subarray(HEADER_BYTES))) }).toEqual(event);
});

test("a body keeps its bytes when another is made", () => {
  const { body } = encodeEvent(EVENT, "avro");
  const before = hex(body);
  encodeEvent({ ...EVENT, entity_id: "another" }, "avro");
  expect(hex(body)).toBe(before);
  // All of its buffer is its own: whoever sends the buffer sends nothing else.
  expect(body.buffer.byteLength).toBe(body.length);
});

test("what no receiver could read is never sent", () => {
  expect(() => encodeEvent({ ...EVENT, revision: 1.5 }, "avro")).toThrow();
});

test("in JSON a receiver reads every event as it was", () => {
  fc.assert(
    fc.property(anyEvent, (event) => {
      const { body, contentType } = encodeEvent(event, "json");
      expect(contentType).toBe("application/json");
      expect(JSON.parse(Buffer.from(body).toString())).toEqual(event);
      expect(body.buffer.byteLength).toBe(body.length);
    }),
  );
});

const jsonSchema = z.looseObject({
  type: z.union([z.string(), z.array(z.string())]),
  const: z.unknown().optional(),
  items: z.unknown().optional(),
});

/** Avro's type for a field as JSON Schema describes it. */
function avroOf(field: unknown): unknown {
  const { type, const: literal, items } = jsonSchema.parse(field);
  if (Array.isArray(type)) return type.toSorted();
  if (type === "array") return { type, items: avroOf(items) };
  if (typeof literal === "number") return "int";
  return type === "integer" ? "long" : type;
}

/** The CRC of the specification's "Schema Fingerprints", bit by bit. */
function crc64Avro(canonical: string): bigint {
  const empty = 0xc15d213aa4d7a795n;
  let crc = empty;
  for (const byte of new TextEncoder().encode(canonical)) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? empty : 0n);
  }
  return crc;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
