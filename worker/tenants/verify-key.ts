/** Whether a presented key is good: memory, then D1. */
import { MICROS_PER_MS } from "../timestamps.ts";
import {
  type ApiKey,
  type FoundKey,
  hashSecret,
  judgeRecord,
  judgeSecret,
  parseApiKey,
  type Verdict,
} from "./api-key.ts";
import { keyMemory, type RememberedKey } from "./key-memory.ts";
import { findKey } from "./key-store.ts";

type Refusal = Exclude<Verdict, "valid"> | "not_ours" | "unknown";

export type Verification =
  | { record: FoundKey }
  /** For the operator; the caller is told the same of each. `not_ours`: in form, or made with another pepper; it has no id. */
  | { refusal: Refusal; keyId: string | null };

interface Presented {
  db: D1Database;
  pepper: string;
  text: string;
  nowMs: number;
}

/** @throws when D1 must be asked and does not answer: that lets in nobody but those who were in before. */
export async function verifyKey(presented: Presented): Promise<Verification> {
  return verifyFromMemory(presented.text, presented.nowMs) ?? proveKey(presented);
}

/** Null when this isolate does not know the key, or not for the time being. */
export function verifyFromMemory(text: string, nowMs: number): Verification | null {
  const proven = keyMemory.proven(text, nowMs);
  if (!proven) return null;
  const verdict = judgeRecord(proven, nowMs * MICROS_PER_MS);
  return verdict === "valid" ? { record: proven } : { refusal: verdict, keyId: proven.keyId };
}

async function proveKey(presented: Presented): Promise<Verification> {
  const { db, pepper, text, nowMs } = presented;
  const key = parseApiKey(text, pepper);
  if (!key) return { refusal: "not_ours", keyId: null };
  const { keyId } = key;
  let remembered = keyMemory.byId(keyId, nowMs);
  try {
    remembered ??= keyMemory.remember(keyId, await findKey(db, keyId), nowMs);
  } catch (cause) {
    const record = keyMemory.prolong(text, Date.now());
    if (!record) throw cause;
    const verdict = judgeRecord(record, nowMs * MICROS_PER_MS);
    return verdict === "valid" ? { record } : { refusal: verdict, keyId };
  }
  return judge(presented, key, remembered);
}

/** Looks a key up again before its time in memory is over. @throws when D1 does not answer: then it ends at its time. */
export async function renewKey(presented: Presented): Promise<void> {
  const { db, pepper, text, nowMs } = presented;
  const key = parseApiKey(text, pepper);
  if (!key) return;
  judge(presented, key, keyMemory.remember(key.keyId, await findKey(db, key.keyId), nowMs));
}

function judge(
  { pepper, text, nowMs }: Presented,
  { keyId, secret }: ApiKey,
  { record, untilMs }: RememberedKey,
): Verification {
  const verdict = record ? judgeSecret(record, hashSecret(secret, pepper), nowMs * MICROS_PER_MS) : "unknown";
  if (record && verdict === "valid") {
    keyMemory.prove(text, { record, untilMs });
    return { record };
  }
  keyMemory.disprove(text);
  return { refusal: verdict === "valid" ? "unknown" : verdict, keyId };
}
