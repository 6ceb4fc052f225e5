import avsc from "avsc";
import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { encodeEvent } from "../../worker/events/encode-event.ts";
import { type FeatureAvailable, featureAvailable } from "../../worker/events/feature-available.ts";
import { receiverType } from "./avro-receiver.ts";
import { EVENT, RECORD } from "./avro-sample.ts";

const HEADER_BYTES = 10;
/** avsc takes no larger one. An entity is never written that often. */
const MAX_LONG = 2 ** 53 - 2;

test("an event is the bytes that the specification says", () => {
  const { body, contentType } = encodeEvent(EVENT, "avro");
  expect(contentType).toBe("avro/binary");
  expect(hex(body.subarray(HEADER_BYTES))).toBe(RECORD);
});

test("in front stand the mark of single-object encoding and the schema's CRC-64-AVRO, little endian", () => {
  const fingerprint = new Uint8Array(8);
  // What avsc answers as a type's schema is its canonical form: no documentation, full names, attributes in the standard order.
  new DataView(fingerprint.buffer).setBigUint64(0, crc64Avro(JSON.stringify(receiverType.schema())), true);
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

test("Avro and the event's own schema have the same fields of the same types, in the same order", () => {
  const { properties = {} } = z.toJSONSchema(featureAvailable);
  const expected = Object.entries(properties).map(([name, property]) => ({ name, type: avroOf(property) }));
  const schema: { fields?: { name: string; type: unknown }[] } = JSON.parse(
    JSON.stringify(receiverType.schema()),
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

test.each([1.5, -1, 2 ** 53, Number.NaN])(
  "what no receiver could read is never sent: revision %d",
  (revision) => {
    expect(() => encodeEvent({ ...EVENT, revision }, "avro")).toThrow();
  },
);

test.each([1, 63, 64, 2 ** 30, 2 ** 31, 2 ** 32 + 1, MAX_LONG])(
  "revision %d is read as it was",
  (revision) => {
    const { body } = encodeEvent({ ...EVENT, revision }, "avro");
    expect(receiverType.fromBuffer(Buffer.from(body.subarray(HEADER_BYTES)))).toMatchObject({ revision });
  },
);

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
