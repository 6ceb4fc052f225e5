/** When a message of a queue that could not be handled comes again. Pure. */
import { QUEUE_RETRY_MAX_SECONDS } from "./timings.ts";

/**
 * Twice as long each time: what did not answer gets time to come back, where all the tries at once would be over in a
 * moment.
 *
 * @param attempts From 1, as a message has them.
 */
export function retryDelaySeconds(attempts: number): number {
  return Math.min(2 ** attempts, QUEUE_RETRY_MAX_SECONDS);
}
