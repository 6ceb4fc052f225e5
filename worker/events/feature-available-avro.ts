/**
 * The availability event in Avro: the fields of `feature-available.avsc` in its order, in the binary encoding of
 * https://avro.apache.org/docs/1.11.1/specification/#binary-encoding. Tests read it with the schema file and a whole
 * Avro library, which would be a sixteenth of the bundle to write one record.
 */
import type { FeatureAvailable } from "./feature-available.ts";

/**
 * Before each event: the mark of single-object encoding, version 1, and the CRC-64-AVRO of the schema's canonical form,
 * little endian (https://avro.apache.org/docs/1.11.1/specification/#single-object-encoding). A receiver finds the
 * schema by it, so a test counts it anew.
 */
const SINGLE_OBJECT_HEADER = Uint8Array.of(0xc3, 0x01, 0x5f, 0xc2, 0xfe, 0xf1, 0x68, 0x7f, 0x70, 0x8a);
/** The branch of a union of null and another type. */
const [NULL, NOT_NULL] = [0, 1];

export function encodeAvro(event: FeatureAvailable): Uint8Array<ArrayBuffer> {
  const { compute_id, features } = event;
  return joined([
    SINGLE_OBJECT_HEADER,
    ...string(event.event_id),
    ...string(event.event_type),
    ...string(event.timestamp),
    ...string(event.event_timestamp),
    ...string(event.entity_type),
    ...string(event.entity_id),
    ...string(event.resource_type),
    ...string(event.resource_name),
    ...(compute_id === null ? [long(NULL)] : [long(NOT_NULL), ...string(compute_id)]),
    ...array(features.map(string)),
    Uint8Array.of(event.features_truncated ? 1 : 0),
    ...string(event.tenant_id),
    long(event.revision),
    long(event.schema_version),
  ]);
}

function string(text: string): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  return [long(bytes.length), bytes];
}

/** One block of all items, and the empty one that ends an array. */
function array(items: Uint8Array[][]): Uint8Array[] {
  return items.length === 0 ? [long(0)] : [long(items.length), ...items.flat(), long(0)];
}

/** An int or a long that is not negative: doubled (zigzag), seven bits a byte, the lowest first. */
function long(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("not a count");
  const bytes: number[] = [];
  let rest = value * 2;
  // By division: these numbers have more than the 32 bits of a shift.
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Uint8Array.of(...bytes, rest);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
