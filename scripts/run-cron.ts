/** The clock of the platform, for a runtime that has none: nothing else calls the Worker's `scheduled`. */
import type { Miniflare } from "miniflare";

/** One run after the other. What a failed one did not come to, the next one does; the Worker has logged why. */
export function runCron(miniflare: Miniflare, everyMs: number): void {
  const run = async () => {
    const worker = await miniflare.getWorker();
    const { outcome } = await worker.scheduled({ scheduledTime: new Date() });
    if (outcome !== "ok") console.error(`a run of the cron ended with: ${outcome}`);
  };
  const runLater = () => setTimeout(() => void run().catch(console.error).finally(runLater), everyMs).unref();
  runLater();
}
