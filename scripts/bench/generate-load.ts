/** The thread of the load generator, seen from outside. */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Job, Measured } from "./generator.ts";

export class Generator {
  readonly #thread = new Worker(join(import.meta.dirname, "generator.ts"));

  /** One job at a time. @throws when no connection could be opened. */
  measure(job: Job): Promise<Measured> {
    return new Promise((resolve, reject) => {
      this.#thread.once("message", (message: { measured?: Measured; fault?: string }) => {
        if (message.measured) resolve(message.measured);
        else reject(new Error(message.fault));
      });
      this.#thread.postMessage(job);
    });
  }
}
