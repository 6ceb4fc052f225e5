/** Where a page ended, as the caller carries it. */
import { unprocessable } from "../errors.ts";
import type { SubscriptionPosition } from "./subscription-store.ts";

/** Of a list of subscriptions: `<created_at in microseconds>-<subscription_id>`. */
export function formatCursor({ createdAt, subscriptionId }: SubscriptionPosition): string {
  return `${createdAt}-${subscriptionId}`;
}

/** @throws Problem 422 for a text that no page has answered. */
export function parseCursor(text: string): SubscriptionPosition {
  const [, createdAt, subscriptionId] = /^(\d{1,16})-(sub_[0-9a-f]+)$/.exec(text) ?? [];
  if (createdAt !== undefined && subscriptionId !== undefined) {
    return { createdAt: Number(createdAt), subscriptionId };
  }
  throw notACursor();
}

/** Of a list of deliveries: the number of the last one. @throws as above. */
export function parseDeliveryCursor(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw notACursor();
}

function notACursor() {
  return unprocessable({
    loc: ["query", "cursor"],
    msg: "must be the next_cursor of a page",
    type: "invalid",
  });
}
