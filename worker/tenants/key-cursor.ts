/** Where a page of keys ended, as the caller carries it: `<created_at in microseconds>-<key_id>`. */
import { unprocessable } from "../errors.ts";
import type { KeyPosition } from "./key-store.ts";

export function formatCursor({ createdAt, keyId }: KeyPosition): string {
  return `${createdAt}-${keyId}`;
}

/** @throws Problem 422 for a text that no page has answered. */
export function parseCursor(text: string): KeyPosition {
  const [, createdAt, keyId] = /^(\d{1,16})-([0-9a-f]+)$/.exec(text) ?? [];
  if (createdAt !== undefined && keyId !== undefined) return { createdAt: Number(createdAt), keyId };
  throw unprocessable({
    loc: ["query", "cursor"],
    msg: "must be the next_cursor of a page",
    type: "invalid",
  });
}
