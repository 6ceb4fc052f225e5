/**
 * A writer forgets what nobody can ask for any more: some of it with each alarm, so that no write waits for it and no
 * more is read than must be, however much it remembers.
 */
import { DOCUMENT_WALK_MS } from "../timings.ts";
import type { WriterStore } from "./writer-store.ts";

const KEYS_AT_ONCE = 5_000;
const DOCUMENTS_AT_ONCE = 5_000;

/** @returns whether there is more to look at, soon. */
export function forgetExpired(store: WriterStore, nowMs: number): boolean {
  const isMoreOfKeys = store.forgetKeys(KEYS_AT_ONCE, nowMs) === KEYS_AT_ONCE;
  const { after, dueAtMs } = store.documentWalk();
  if (dueAtMs > nowMs) return isMoreOfKeys;
  const next = store.forgetDocuments(after, DOCUMENTS_AT_ONCE, nowMs);
  store.setDocumentWalk(
    next === null ? { after: 0, dueAtMs: nowMs + DOCUMENT_WALK_MS } : { after: next, dueAtMs },
  );
  return isMoreOfKeys || next !== null;
}
