/**
 * The availability event in Avro. The schema is here for the code and in `feature-available.avsc` for receivers; tests
 * hold both, and the schema of `feature-available.ts`, to the same fields.
 *
 * The codec is made when the module loads: avsc writes code, which the runtime allows at that time only.
 */
import avro from "avsc/etc/browser/avsc-types.js";
import type { FeatureAvailable } from "./feature-available.ts";

export const featureAvailableType = avro.Type.forSchema({
  type: "record",
  name: "FeatureAvailable",
  namespace: "edge_feature_store",
  fields: [
    { name: "event_id", type: "string" },
    { name: "event_type", type: "string" },
    { name: "timestamp", type: "string" },
    { name: "event_timestamp", type: "string" },
    { name: "entity_type", type: "string" },
    { name: "entity_id", type: "string" },
    { name: "resource_type", type: "string" },
    { name: "resource_name", type: "string" },
    { name: "compute_id", type: ["null", "string"] },
    { name: "features", type: { type: "array", items: "string" } },
    { name: "features_truncated", type: "boolean" },
    { name: "tenant_id", type: "string" },
    { name: "revision", type: "long" },
    { name: "schema_version", type: "int" },
  ],
});

/**
 * Before each event: the mark of single-object encoding, version 1, and the CRC-64-AVRO of the schema's canonical form,
 * little endian (https://avro.apache.org/docs/1.11.1/specification/#single-object-encoding). A receiver finds the
 * schema by it, so a test counts it anew.
 */
const SINGLE_OBJECT_HEADER = Uint8Array.of(0xc3, 0x01, 0x5f, 0xc2, 0xfe, 0xf1, 0x68, 0x7f, 0x70, 0x8a);

export function encodeAvro(event: FeatureAvailable): Uint8Array<ArrayBuffer> {
  const record = featureAvailableType.toBuffer(event);
  const bytes = new Uint8Array(SINGLE_OBJECT_HEADER.length + record.length);
  bytes.set(SINGLE_OBJECT_HEADER);
  bytes.set(record, SINGLE_OBJECT_HEADER.length);
  return bytes;
}
