/** Asking the writers for the documents that readers have missed: gathered for a moment, one call to each writer. */
import { type EntityRef, type Layout, partitionOf, writerName } from "../keys.ts";
import { MAX_FILL_ENTITIES } from "../limits.ts";
import { FILL_GATHER_MS, FILL_GATHER_STALE_MS } from "../timings.ts";
import { sleep } from "../waits.ts";
import { writerOf } from "../writing/writer-access.ts";
import type { ReadContext } from "./read-entities.ts";

interface Gathering {
  refs: EntityRef[];
  sinceMs: number;
}

interface Fill {
  name: string;
  partition: number;
  layout: Layout;
  gathering: Gathering;
}

/** By the writer's name. The first request that misses makes the call; others add to it until then. */
const gatherings = new Map<string, Gathering>();

/** Returns at once: nobody's answer waits for a document. */
export function askForFills(context: ReadContext, missed: readonly EntityRef[], databases: number): void {
  const { settings, tenant, nowMs, after } = context;
  const layout = { databases, partitions: settings.writerPartitions };
  for (const ref of missed) {
    const partition = partitionOf(ref, layout);
    const name = writerName(tenant, settings.writerPartitions, partition);
    const known = gatherings.get(name);
    if (known && nowMs - known.sinceMs < FILL_GATHER_STALE_MS) {
      // What is beyond one call is asked for when it is missed again.
      if (known.refs.length < MAX_FILL_ENTITIES) known.refs.push(ref);
      continue;
    }
    const gathering = { refs: [ref], sinceMs: nowMs };
    gatherings.set(name, gathering);
    after(send(context, { name, partition, layout, gathering }));
  }
}

async function send(context: ReadContext, { name, partition, layout, gathering }: Fill): Promise<void> {
  await sleep(FILL_GATHER_MS);
  if (gatherings.get(name) === gathering) gatherings.delete(name);
  try {
    const { writer, identity } = writerOf(context, partition, layout);
    await writer.fill(identity, gathering.refs);
  } catch (cause) {
    context.log.warning("hot cache was not filled", {}, cause);
  }
}
