/** What an isolate remembers of the writes that went through it. */
import { documentKey } from "../keys.ts";
import { isolateMemory } from "../serving/memory.ts";
import type { EntityChange } from "./entity-write.ts";
import type { Submitted, WriterContext } from "./submit-changes.ts";

/** A read through this isolate is then never older than these changes. */
export async function rememberWrites(
  { tenant, settings }: Pick<WriterContext, "tenant" | "settings">,
  changes: readonly EntityChange[],
  { results, bookmark }: Pick<Submitted, "results" | "bookmark">,
): Promise<void> {
  const nowMs = Date.now();
  await Promise.all(
    changes.map(async (change, i) => {
      const key = await documentKey(tenant, settings.writerPartitions, change);
      isolateMemory.noteWrite(key, results[i]?.revision ?? 0, bookmark, nowMs);
    }),
  );
}
