/** The Durable Object in which the metrics of all isolates add up. */
import { DurableObject } from "cloudflare:workers";

export class MetricsTotals extends DurableObject<Env> {}
