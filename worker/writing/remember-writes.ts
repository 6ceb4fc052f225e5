/** What an isolate remembers of the writes that went through it. */

import type { TenantContext } from "../http/context.ts";
import { documentKey, type EntityRef } from "../keys.ts";
import { isolateMemory } from "../serving/memory.ts";
import type { Submitted } from "./submit-changes.ts";

/** A read through this isolate is then never older than these changes. */
export function rememberWrites(
  { tenant, settings }: Pick<TenantContext, "tenant" | "settings">,
  rows: readonly EntityRef[],
  { results, bookmarks }: Pick<Submitted, "results" | "bookmarks">,
): void {
  const nowMs = Date.now();
  for (const [i, row] of rows.entries()) {
    const result = results[i];
    if (!result || result.outcome === "refused") continue;
    const key = documentKey(tenant, settings.writerPartitions, row);
    isolateMemory.noteWrite(key, result.revision, bookmarks, nowMs);
  }
}
