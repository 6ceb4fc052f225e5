/** The Durable Object of one subscription: what is under way to its receiver. */
import { DurableObject } from "cloudflare:workers";

export class Subscriber extends DurableObject<Env> {}
