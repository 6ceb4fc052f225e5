import type { FeatureAvailable } from "../../worker/events/feature-available.ts";

export const EVENT: FeatureAvailable = {
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
 * {@link EVENT} as hex digits, by hand after the Avro specification: a record is its fields one after the other; a string its length
 * in bytes and those bytes; a length, int or long is zigzag (n becomes 2n) in groups of seven bits, the lowest first,
 * the eighth bit set on all but the last; a union is the index of its branch and the value; an array is a count, that
 * many items, and a count of 0; a boolean one byte.
 */
export const RECORD = [
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
]
  .join("")
  .replaceAll(" ", "");
