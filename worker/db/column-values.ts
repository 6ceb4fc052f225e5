/** The closed lists of what a column may hold, for its table, for the schemas of the routes, and for their types. */

/** Of a tenant. `deleting`, `deleted`: it has nothing any more, or soon; nobody is it again. */
export const TENANT_STATUSES = ["active", "suspended", "deleting", "deleted"] as const;

export const WRITE_MODES = ["replace", "merge"] as const;

export const FEATURE_KINDS = ["scalar", "computed"] as const;
export type FeatureKind = (typeof FEATURE_KINDS)[number];

export const MATERIALIZATIONS = ["manual", "on_ingest"] as const;
export type Materialization = (typeof MATERIALIZATIONS)[number];

const SCALAR_DTYPES = ["int64", "float64", "float32", "string", "boolean", "timestamp", "json"] as const;
export type ScalarDtype = (typeof SCALAR_DTYPES)[number];
export type Dtype = ScalarDtype | `array<${ScalarDtype}>`;
export const DTYPES: readonly [Dtype, ...Dtype[]] = [
  ...SCALAR_DTYPES,
  ...SCALAR_DTYPES.map((scalar): Dtype => `array<${scalar}>`),
];
/** `vector`: of a computed feature. */
export const VERSION_DTYPES = [...DTYPES, "vector"] as const;
export type VersionDtype = (typeof VERSION_DTYPES)[number];

export const VERSION_STATUSES = ["draft", "active", "deprecated"] as const;
export type VersionStatus = (typeof VERSION_STATUSES)[number];

/** Of what the queue `feature-compute` does a piece at a time: a job, a training set. */
export const WORK_STATUSES = ["queued", "running", "done", "failed"] as const;

export const SUBSCRIPTION_KINDS = ["webhook", "kafka-rest"] as const;
export const EVENT_FORMATS = ["json", "avro"] as const;
export const SUBSCRIPTION_STATUSES = ["active", "paused"] as const;
