/** What administrators do stays in the log. */
import type { LogFields } from "../log.ts";
import type { AppContext } from "./context.ts";

/** @param about The ids of what it was done to. */
export function audit(c: AppContext, message: string, about: LogFields): void {
  const by = c.principal.keyId ?? "developer";
  c.log.info(message, { request_id: c.requestId, ...about, by_key_id: by });
}
