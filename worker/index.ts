/** The platform's door: requests, queue messages, and the Durable Object classes. */
import { app } from "./app.ts";
import { consumeAvailability } from "./events/consumer.ts";

export { EntityWriter } from "./writing/entity-writer.ts";

export default {
  fetch: app.fetch,
  queue: consumeAvailability,
} satisfies ExportedHandler<Env>;
