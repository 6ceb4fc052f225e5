/** Waits until nobody owes anything any more. */
import { setTimeout as sleep } from "node:timers/promises";
import { SavedState } from "../process/state-files.ts";
import type { Service } from "../setup/service.ts";
import type { Receiver } from "./receiver.ts";

const LONGEST_MS = 90_000;

/**
 * Until every committed write has been handed to the consumer and to KV, every event to the receiver, and all that follows
 * rows was computed from them.
 *
 * @returns what is owed all the same.
 */
export async function drain(service: Service, state: string, receiver: Receiver): Promise<string[]> {
  const untilMs = Date.now() + LONGEST_MS;
  const saved = new SavedState(state);
  try {
    for (;;) {
      // In the order in which one brings about the next.
      const versions = saved.owedVersions();
      const left = saved.owedEventIds();
      const documents = saved.owedDocuments();
      const { pending, dead } = await receiver.owed(service);
      const isDone = versions + left.length + documents.length + pending === 0;
      if (isDone && dead === 0) return [];
      if (isDone || Date.now() > untilMs) {
        return [
          `still owed: ${versions} computed versions, ${left.length} events, ${documents.length} documents, ${pending} deliveries; given up: ${dead} deliveries`,
        ];
      }
      await sleep(100);
    }
  } finally {
    saved.close();
  }
}
