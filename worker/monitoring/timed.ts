/**
 * One operation on a store: a span of the platform's tracing around it, and a record of it.
 *
 * The tracing is handed in where the Worker starts, since its module exists inside the runtime alone and this file is
 * loaded by Node as well: by the tests of decisions, and by what makes the API documents.
 */
import { type Operation, type OperationRecord, UNKNOWN, type WriteOutcome } from "./metric-record.ts";
import type { OperationSink } from "./request-metrics.ts";

type EnterSpan = <T>(name: string, run: () => T) => T;

let enterSpan: EnterSpan = (_, run) => run();

/** Called once, by `index.ts`. */
export function traceWith(tracing: { enterSpan: EnterSpan }): void {
  enterSpan = (name, run) => tracing.enterSpan(name, run);
}

/** @param sink Undefined where nobody counts, or counting is off: then it is only traced. */
export async function timed<T>(
  sink: OperationSink | undefined,
  { operation, items = UNKNOWN }: { operation: Operation; items?: number },
  run: () => Promise<T>,
): Promise<T> {
  if (!sink) return enterSpan(operation, run);
  const startedMs = Date.now();
  let outcome: OperationRecord["outcome"] = "error";
  try {
    const result = await enterSpan(operation, run);
    outcome = "ok";
    return result;
  } finally {
    sink.measured(operationRecord({ operation, outcome, items, durationMs: Date.now() - startedMs }));
  }
}

interface Measured {
  operation: Operation;
  outcome: OperationRecord["outcome"];
  durationMs: number;
  items?: number;
  writes?: Partial<Record<WriteOutcome, number>> | null;
}

export function operationRecord({
  operation,
  outcome,
  durationMs,
  items = UNKNOWN,
  writes = null,
}: Measured): OperationRecord {
  return {
    kind: "operation",
    operation,
    outcome,
    count: 1,
    durationMs,
    longestMs: durationMs,
    items,
    writes,
  };
}
