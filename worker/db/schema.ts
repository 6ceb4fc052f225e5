/**
 * The tables of D1, from which `migrations/` is generated (`npm run db:generate`).
 *
 * Times are whole microseconds since 1970 (exact in a double until the year 2255), so that a timestamp of six
 * digits comes back as it was written.
 *
 * SQL is written by hand wherever current values or the history are read or written: its plan decides what that costs.
 * Nearly everything else is queried through these definitions.
 */
import { index, integer, primaryKey, real, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";
import {
  EVENT_FORMATS,
  FEATURE_KINDS,
  MATERIALIZATIONS,
  SUBSCRIPTION_KINDS,
  SUBSCRIPTION_STATUSES,
  TENANT_STATUSES,
  VERSION_DTYPES,
  VERSION_STATUSES,
  WORK_STATUSES,
  WRITE_MODES,
} from "./column-values.ts";

/**
 * The columns of a current row: one category of one entity.
 *
 * A row whose `data` is null is a tombstone. One for the category `""` stands for the whole entity. It stays, so
 * that a late write cannot resurrect what was deleted.
 */
const currentColumns = () => ({
  /** `""` for the tombstone of a whole entity. */
  category: text("category").notNull(),
  /** JSON object of feature values; null in a tombstone. */
  data: text("data"),
  /** Times of single features that are not the row's; see `feature-times.ts`. */
  eventTimes: text("event_times"),
  /** The newest event time in the row. */
  eventTime: integer("event_time").notNull(),
  /** Event time of the last full replacement or deletion: an older write changes no current value. */
  floor: integer("floor"),
  /** Event time of the last deletion: an older write is not even kept in the history. */
  deletedAt: integer("deleted_at"),
  createdAt: integer("created_at").notNull(),
  updatedAt: integer("updated_at").notNull(),
  /** The entity's revision when this row was last written. The entity's own revision is the highest of its rows. */
  revision: integer("revision").notNull(),
  computeId: text("compute_id"),
  source: text("source"),
  expiresAt: integer("expires_at"),
});

export const brightUid = sqliteTable(
  "bright_uid",
  { tenantId: text("tenant_id").notNull(), brightUid: text("bright_uid").notNull(), ...currentColumns() },
  (t) => [primaryKey({ columns: [t.tenantId, t.brightUid, t.category] })],
);

export const accountId = sqliteTable(
  "account_id",
  { tenantId: text("tenant_id").notNull(), accountId: text("account_id").notNull(), ...currentColumns() },
  (t) => [primaryKey({ columns: [t.tenantId, t.accountId, t.category] })],
);

/** Entities of every declared type that is not built in. */
export const entities = sqliteTable(
  "entities",
  {
    tenantId: text("tenant_id").notNull(),
    entityType: text("entity_type").notNull(),
    entityValue: text("entity_value").notNull(),
    ...currentColumns(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.entityType, t.entityValue, t.category] })],
);

/**
 * What was written, append only: a row for each category of each write. The source of point in time.
 *
 * A write that came too late to change a current value is kept too (it was true at its time), with the revision
 * that the entity had, and without an event.
 */
export const featureHistory = sqliteTable(
  "feature_history",
  {
    tenantId: text("tenant_id").notNull(),
    entityType: text("entity_type").notNull(),
    entityValue: text("entity_value").notNull(),
    category: text("category").notNull(),
    eventTime: integer("event_time").notNull(),
    revision: integer("revision").notNull(),
    /** `replace` or `merge`. */
    mode: text("mode", { enum: WRITE_MODES }).notNull(),
    /** JSON object of the values as they were written, not merged. */
    data: text("data").notNull(),
    ingestedAt: integer("ingested_at").notNull(),
    computeId: text("compute_id"),
    expiresAt: integer("expires_at"),
    /** The id of the row's availability event, by which a writer recognises its own commit; null when it came too late. */
    eventId: text("event_id"),
  },
  (t) => [
    primaryKey({
      columns: [t.tenantId, t.entityType, t.entityValue, t.category, t.eventTime, t.revision, t.ingestedAt],
    }),
  ],
);

export const tenants = sqliteTable("tenants", {
  /** A short name of lower-case letters, digits, `-` and `_`; the first part of every key. */
  tenantId: text("tenant_id").primaryKey(),
  name: text("name").notNull(),
  createdAt: integer("created_at").notNull(),
  /** Over how many databases its entities are spread; null until it is first used. */
  databases: integer("databases"),
  /** Only the keys of an active tenant are taken. The row of a deleted one stays: its id is never given again. */
  status: text("status", { enum: TENANT_STATUSES }).notNull().default("active"),
});

/** Tenants whose entities are being spread over more databases; see `tenants/moving/`. */
export const tenantMoves = sqliteTable("tenant_moves", {
  tenantId: text("tenant_id").primaryKey(),
  /** JSON; how far it is. */
  move: text("move").notNull(),
});

/** API keys. The secret itself is shown once and not kept. */
export const apiKeys = sqliteTable(
  "api_keys",
  {
    keyId: text("key_id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    name: text("name").notNull(),
    /** SHA-256 of the secret with the pepper `API_KEY_SECRET`, hexadecimal. */
    secretHash: text("secret_hash").notNull(),
    /** JSON array of `read`, `write`, `admin`. */
    scopes: text("scopes").notNull(),
    createdAt: integer("created_at").notNull(),
    expiresAt: integer("expires_at"),
    revokedAt: integer("revoked_at"),
  },
  (t) => [index("api_keys_tenant").on(t.tenantId)],
);

/** Registered features. Ids are of the whole database; every query names the tenant too. */
export const features = sqliteTable(
  "features",
  {
    featureId: integer("feature_id").primaryKey({ autoIncrement: true }),
    tenantId: text("tenant_id").notNull(),
    name: text("name").notNull(),
    entityType: text("entity_type").notNull(),
    /** Where a scalar's values are. For a computed feature its name, because its vector is the whole category. */
    category: text("category").notNull(),
    kind: text("kind", { enum: FEATURE_KINDS }).notNull().default("scalar"),
    /** For a computed feature: its raw table, and the column of its result that names the entity. */
    rawTableId: integer("raw_table_id"),
    entityKey: text("entity_key"),
    materialize: text("materialize", { enum: MATERIALIZATIONS }),
    /** The SQL that a new version has, unless it brings its own. */
    computationLogic: text("computation_logic"),
    description: text("description"),
    owner: text("owner"),
    /** JSON array of strings. */
    tags: text("tags").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    /** JSON object: description, owner and tags as it was registered with them; null while nobody has changed any. */
    registeredWords: text("registered_words"),
  },
  (t) => [uniqueIndex("features_name").on(t.tenantId, t.name)],
);

export const featureVersions = sqliteTable(
  "feature_versions",
  {
    versionId: integer("version_id").primaryKey({ autoIncrement: true }),
    tenantId: text("tenant_id").notNull(),
    featureId: integer("feature_id").notNull(),
    version: integer("version").notNull(),
    dtype: text("dtype", { enum: VERSION_DTYPES }).notNull(),
    /** The SQL of a version of a computed feature. */
    computationLogic: text("computation_logic"),
    ttlSeconds: real("ttl_seconds"),
    /** JSON text of the value that stands in for a missing one; null when there is none. */
    defaultValue: text("default_value"),
    status: text("status", { enum: VERSION_STATUSES }).notNull(),
    /** Words about this version; null where they are the feature's. */
    description: text("description"),
    owner: text("owner"),
    tags: text("tags"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    /** As in `features`. */
    registeredWords: text("registered_words"),
  },
  (t) => [uniqueIndex("feature_versions_version").on(t.tenantId, t.featureId, t.version)],
);

/**
 * Names of features that were removed with versions beyond the first. Their values are still with the entities, under
 * `name@2` and so on: the versions of another feature of that name have higher numbers.
 */
export const removedFeatures = sqliteTable(
  "removed_features",
  {
    tenantId: text("tenant_id").notNull(),
    name: text("name").notNull(),
    highestVersion: integer("highest_version").notNull(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.name] })],
);

/** Entity types of features that were removed: who has entities of them goes on reading, writing and deleting these. */
export const pastEntityTypes = sqliteTable(
  "past_entity_types",
  { tenantId: text("tenant_id").notNull(), entityType: text("entity_type").notNull() },
  (t) => [primaryKey({ columns: [t.tenantId, t.entityType] })],
);

/**
 * A text for each state of a tenant's features and versions: every transaction that changes them makes another. Who
 * knows the registry asks for it to learn whether it still is what is there. No row: nothing was ever registered.
 *
 * (Triggers would be surer, but D1's API takes their bodies apart at the semicolons when a migration is applied.)
 */
export const registryStamps = sqliteTable("registry_stamps", {
  tenantId: text("tenant_id").primaryKey(),
  stamp: text("stamp").notNull(),
});

/** Raw tables. Their rows live in a `RawTable` object. */
export const rawTables = sqliteTable(
  "raw_tables",
  {
    tableId: integer("table_id").primaryKey({ autoIncrement: true }),
    tenantId: text("tenant_id").notNull(),
    name: text("name").notNull(),
    description: text("description"),
    /** JSON array of `[column, type]`, in the order of registration. */
    columns: text("columns").notNull(),
    /** The column that says when a row became true. */
    timestampColumn: text("timestamp_column"),
    createdAt: integer("created_at").notNull(),
    /** Rows whose time is longer ago are removed; null: none are. */
    retentionDays: real("retention_days"),
    /**
     * Stands in the name of the table's object beside its id: a D1 that was put back to an earlier time gives ids again.
     * Null for tables that are older than this column.
     */
    objectNonce: text("object_nonce"),
    /** JSON array of those `columns` that were added later, so that rows may lack them; null: none. */
    optionalColumns: text("optional_columns"),
  },
  (t) => [uniqueIndex("raw_tables_name").on(t.tenantId, t.name)],
);

/** How the last recomputations of a feature's version went; written by the consumer of `feature-compute`. */
export const computations = sqliteTable(
  "computations",
  {
    tenantId: text("tenant_id").notNull(),
    featureId: integer("feature_id").notNull(),
    version: integer("version").notNull(),
    computedAt: integer("computed_at"),
    failedAt: integer("failed_at"),
    /** What went wrong last, in words for the tenant; null after a success. */
    lastError: text("last_error"),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.featureId, t.version] })],
);

/** Computations too large for one request. */
export const jobs = sqliteTable("jobs", {
  jobId: text("job_id").primaryKey(),
  tenantId: text("tenant_id").notNull(),
  featureId: integer("feature_id").notNull(),
  version: integer("version").notNull(),
  status: text("status", { enum: WORK_STATUSES }).notNull(),
  /** Entities to write, and those written. */
  total: integer("total"),
  computed: integer("computed").notNull(),
  /** JSON object: rows that no vector was written of, with their reasons, and their number. */
  skipped: text("skipped").notNull(),
  error: text("error"),
  createdAt: integer("created_at").notNull(),
  updatedAt: integer("updated_at").notNull(),
});

/** Training data too large for one answer, as files in the archive. */
export const trainingSets = sqliteTable(
  "training_sets",
  {
    trainingSetId: text("training_set_id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    entityType: text("entity_type").notNull(),
    /** JSON array of the names asked for. */
    featureNames: text("feature_names").notNull(),
    /** `deleting`: nobody sees it any more, and its files go. */
    status: text("status", { enum: [...WORK_STATUSES, "deleting"] }).notNull(),
    /** Rows to write, and those written. */
    total: integer("total").notNull(),
    written: integer("written").notNull(),
    /** Only what had been ingested by then is in it. */
    knownAt: integer("known_at").notNull(),
    /** One higher with every change of this row: when two consumers take the same step, only one of them is noted. */
    step: integer("step").notNull(),
    /** How often the next file has been begun. */
    tries: integer("tries").notNull(),
    /** JSON array: of each file its name in the bucket, rows and bytes. */
    files: text("files").notNull(),
    /** JSON array: the type of each feature's column in all files; null while it has no values. */
    types: text("types").notNull(),
    error: text("error"),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
  },
  (t) => [index("training_sets_tenant").on(t.tenantId, t.createdAt)],
);

/** Who is told of events, and where. Deliveries under way live in the `Subscriber` object of the same id. */
export const subscriptions = sqliteTable(
  "subscriptions",
  {
    subscriptionId: text("subscription_id").primaryKey(),
    tenantId: text("tenant_id").notNull(),
    kind: text("kind", { enum: SUBSCRIPTION_KINDS }).notNull(),
    url: text("url").notNull(),
    format: text("format", { enum: EVENT_FORMATS }).notNull(),
    /** Only a `kafka-rest` subscription has one. */
    topic: text("topic"),
    description: text("description"),
    /** JSON arrays of names, of which an event must match one; null: all do. */
    entityTypes: text("entity_types"),
    categories: text("categories"),
    features: text("features"),
    status: text("status", { enum: SUBSCRIPTION_STATUSES }).notNull(),
    /** The signing secret is made from it and the pepper: the database alone tells nobody a secret. */
    secretNonce: text("secret_nonce").notNull(),
    createdAt: integer("created_at").notNull(),
    updatedAt: integer("updated_at").notNull(),
    /** What the receiver wants as `Authorization`, encrypted as `events/receiver-authorization.ts` does; null: nothing. */
    authorization: text("authorization"),
  },
  (t) => [index("subscriptions_tenant").on(t.tenantId)],
);

/**
 * What requests with an `Idempotency-Key` have made: a row comes with what it tells of, in one transaction, and stays
 * when that is changed or deleted. No secret is in it.
 */
export const idempotencyRecords = sqliteTable(
  "idempotency_records",
  {
    /** Of who asked: a key is that tenant's. */
    tenantId: text("tenant_id").notNull(),
    key: text("key").notNull(),
    /** SHA-256 of the request, hexadecimal. */
    fingerprint: text("fingerprint").notNull(),
    /** Of the request that was first: of two at once, only one finds its own here. */
    attempt: text("attempt").notNull(),
    /** JSON of what was made, from which the first answer is put together again. */
    made: text("made").notNull(),
    expiresAt: integer("expires_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.tenantId, t.key] })],
);

/** Where periodic work left off. */
export const maintenance = sqliteTable("maintenance", {
  task: text("task").primaryKey(),
  /** JSON; what the task needs to go on. */
  cursor: text("cursor").notNull(),
  updatedAt: integer("updated_at").notNull(),
});
