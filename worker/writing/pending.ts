/** Changes that wait for their transaction, and telling their callers what became of them. */
import type { Micros } from "../timestamps.ts";
import type { ChangeResult, EntityChange, Settled } from "./entity-write.ts";
import type { WriterStore } from "./writer-store.ts";

export interface Pending {
  change: EntityChange;
  /** Where its result is kept, when the caller sent an `Idempotency-Key`. */
  remember: { key: string; position: number } | null;
  attempts: number;
  /** Null: not acknowledged, the caller may try again. */
  resolve: (settled: Settled | null) => void;
}

/** Answers the repetitions of requests whose transaction was thought lost and has turned out committed; the others remain. */
export function withoutRemembered(store: WriterStore, group: readonly Pending[]): Pending[] {
  const keys = new Set(group.flatMap(({ remember }) => remember?.key ?? []));
  const results = new Map([...keys].map((key) => [key, store.rememberedResults(key)]));
  return group.filter(({ remember, resolve }) => {
    const settled = remember && results.get(remember.key)?.get(remember.position);
    if (settled) resolve(settled);
    return !settled;
  });
}

/** @param results One for each of the group; undefined: it was not committed. */
export function answer(
  store: WriterStore,
  group: readonly Pending[],
  results: readonly (ChangeResult | undefined)[],
  { committedAt, bookmark }: { committedAt: Micros; bookmark: string | null },
): void {
  group.forEach(({ remember, resolve }, i) => {
    const result = results[i];
    const settled: Settled | null = result ? { result, committedAt, bookmark } : null;
    if (settled && remember) store.rememberResult(remember.key, remember.position, settled);
    resolve(settled);
  });
}
