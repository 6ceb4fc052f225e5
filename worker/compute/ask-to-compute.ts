/** Tells the consumer of `feature-compute` that something waits for it. */
import type { ServiceContext } from "../env.ts";
import type { ComputeMessage } from "./compute-message.ts";

/** Never fails: what the queue does not take the table's alarm asks for, or the cron. */
export async function askToCompute(
  { env, log }: Pick<ServiceContext, "env" | "log">,
  message: Exclude<ComputeMessage, { kind: "training_set" }>,
  options: QueueSendOptions = {},
): Promise<void> {
  try {
    await env.FEATURE_COMPUTE.send(message, options);
  } catch (cause) {
    const { tenant_id, kind } = message;
    log.warning("the queue did not take a message", { tenant_id, kind }, cause);
  }
}
