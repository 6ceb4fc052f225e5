/** What a receiver is sent of an event. */
import type { FeatureAvailable } from "./feature-available.ts";
import { encodeAvro } from "./feature-available-avro.ts";

export type EventFormat = "json" | "avro";

/** The body of a webhook request, and its content type. Avro is single-object encoded. */
export function encodeEvent(
  event: FeatureAvailable,
  format: EventFormat,
): { body: Uint8Array<ArrayBuffer>; contentType: string } {
  return format === "avro"
    ? { body: encodeAvro(event), contentType: "avro/binary" }
    : {
        body: new Uint8Array(new TextEncoder().encode(JSON.stringify(event))),
        contentType: "application/json",
      };
}
