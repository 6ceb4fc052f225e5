/** The Durable Object of a tenant's roll-ups: how fresh and how whole its registered features are. */
import { DurableObject } from "cloudflare:workers";

export class FeatureStats extends DurableObject<Env> {}
