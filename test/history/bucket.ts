/** The archive's bucket, and bindings of which one call goes wrong. */
import { env } from "cloudflare:workers";
import { RETENTION_STEPS_PER_RUN, RETENTION_WALKS_PER_RUN } from "../../worker/limits.ts";

/** What a run of retention may do in one database. */
export const IN_ONE_RUN = { steps: RETENTION_STEPS_PER_RUN, walks: RETENTION_WALKS_PER_RUN };

export const archive = (): R2Bucket => {
  if (!env.ARCHIVE) throw new Error("the configuration of development has a bucket");
  return env.ARCHIVE;
};

/** A binding whose calls of `name` are `instead`. */
export function broken<T extends object>(
  binding: T,
  name: keyof T,
  instead: (...given: never[]) => unknown,
): T {
  return new Proxy(binding, {
    get(target, asked) {
      const found: unknown = asked === name ? instead : Reflect.get(target, asked);
      return typeof found === "function" ? found.bind(target) : found;
    },
  });
}
