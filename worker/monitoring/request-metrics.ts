/** What one request has cost and answered, gathered on its way and written once, at its end. */
import { BUILT_IN_ENTITY_TYPES } from "../db/current-rows.ts";
import { keepHiddenClass } from "../hidden-classes.ts";
import { AE_MAX_POINTS_PER_INVOCATION } from "../limits.ts";
import type { EntityChange } from "../writing/entity-write.ts";
import { isolateMetrics } from "./isolate-metrics.ts";
import {
  addOperation,
  type MetricRecord,
  type OperationRecord,
  type RequestRecord,
  slowestTier,
  type Tier,
  type TierCounts,
  toDataPoint,
  UNKNOWN,
} from "./metric-record.ts";
import { methodLabel, routeOf } from "./operation-names.ts";
import { ValueTally } from "./value-tally.ts";

/** Takes note of operations on stores. */
export interface OperationSink {
  measured(record: OperationRecord): void;
}

/** The operations of one invocation. Counted at once; as points, those that ended alike become one. */
export class InvocationOperations implements OperationSink {
  readonly #records: OperationRecord[] = [];

  measured(record: OperationRecord): void {
    isolateMetrics.add(record);
    const same = this.#records.find(
      ({ operation, outcome }) => operation === record.operation && outcome === record.outcome,
    );
    if (same) addOperation(same, record);
    else this.#records.push(copyOf(record));
  }

  /** All records since the last time. */
  take(): OperationRecord[] {
    return this.#records.splice(0);
  }
}

interface Finished {
  env: Env;
  /** Empty for a request of nobody. */
  tenant: string;
  endpoint: string;
  method: string;
  status: number;
  durationMs: number;
  /** `waitUntil` of the request. */
  after: (work: Promise<unknown>) => void;
}

/** The record of one request itself, while it is being made: nothing is copied at its end. */
export class RequestMetrics implements RequestRecord, OperationSink {
  readonly kind = "request";
  operation = "";
  endpoint = "";
  method = "";
  status = 0;
  durationMs = 0;
  entityType = "";
  reads: TierCounts | null = null;
  entities = UNKNOWN;
  categories = UNKNOWN;
  values: ValueTally | null = null;
  #operations: InvocationOperations | null = null;
  /** Set at the end: what comes later, behind the answer, is written at once. */
  #finished: Finished | null = null;
  #points = 0;

  constructor() {
    keepHiddenClass(this);
  }

  get tally(): ValueTally {
    this.values ??= new ValueTally();
    return this.values;
  }

  /** Fields for the log line. */
  get facts(): { cache_tier?: string; entity_count?: number; feature_count?: number } {
    const tier = slowestTier(this.reads);
    return {
      ...(tier && { cache_tier: tier }),
      ...(this.entities !== UNKNOWN && { entity_count: this.entities }),
      ...(this.values && { feature_count: this.values.total }),
    };
  }

  measured(record: OperationRecord): void {
    this.#operations ??= new InvocationOperations();
    this.#operations.measured(record);
    if (!this.#finished) return;
    for (const late of this.#operations.take()) this.#write(late);
    isolateMetrics.keepFlushing(this.#finished.env, this.#finished.after);
  }

  /** @param tier What answered the read of one entity. */
  read(tier: Tier): void {
    this.reads ??= { memory: 0, kv: 0, d1: 0 };
    this.reads[tier] += 1;
  }

  /** Declared entity types are the tenant's words, and as many as it likes. */
  about(entityType: string, entities: number): void {
    this.entityType = BUILT_IN_ENTITY_TYPES.includes(entityType) ? entityType : "other";
    this.entities = entities;
  }

  writing(changes: readonly EntityChange[]): void {
    this.about(changes[0]?.entityType ?? "", changes.length);
    this.categories = changes.reduce(
      (total, change) => total + (change.kind === "write" ? change.categories.length : 1),
      0,
    );
  }

  /** Writes the request's record, once, and those of its operations. Never throws. */
  finish(finished: Finished): void {
    this.#finished = finished;
    this.endpoint = finished.endpoint;
    this.method = methodLabel(finished.method);
    this.operation = routeOf(this.endpoint, this.method).operation;
    this.status = finished.status;
    this.durationMs = finished.durationMs;
    isolateMetrics.add(this);
    this.#write(this);
    for (const each of this.#operations?.take() ?? NONE) this.#write(each);
    isolateMetrics.keepFlushing(finished.env, finished.after);
  }

  #write(record: MetricRecord): void {
    this.#points += 1;
    if (!this.#finished || this.#points > AE_MAX_POINTS_PER_INVOCATION) return;
    writePoint(this.#finished.env, this.#finished.tenant, record);
  }
}

const NONE: OperationRecord[] = [];

function copyOf({
  kind,
  operation,
  outcome,
  count,
  durationMs,
  longestMs,
  items,
  writes,
}: OperationRecord): OperationRecord {
  return { kind, operation, outcome, count, durationMs, longestMs, items, writes: writes && { ...writes } };
}

/** Writes the points of an invocation that has no request. */
export function writePoints(env: Env, tenant: string, records: readonly MetricRecord[]): void {
  for (const record of records.slice(0, AE_MAX_POINTS_PER_INVOCATION)) writePoint(env, tenant, record);
}

/** Never throws: a point that is lost is no one's failure, and `/metrics` has it all the same. */
function writePoint(env: Env, tenant: string, record: MetricRecord): void {
  try {
    env.ANALYTICS.writeDataPoint(toDataPoint(record, tenant));
  } catch {
    // More than the platform takes, or no dataset.
  }
}
