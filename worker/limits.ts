/**
 * Every limit, its unit and its reason. What a platform enforces in production only is enforced here as well, so
 * that a laptop refuses what the world would.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** A request's body. A Worker holds it in memory with its parsed form, and 128 MB is all an isolate has. */
export const MAX_BODY_BYTES = 10 * MIB;

/** Entities or rows of one request: what one D1 query answers well under a second. */
export const MAX_ENTITIES_PER_REQUEST = 1_000;

/** Categories of one entity. A read of an entity reads all of them. */
export const MAX_CATEGORIES_PER_ENTITY = 200;

/** A category's JSON. D1 takes no value over 2 MB, and a write sends it once as it is. */
export const MAX_CATEGORY_BYTES = 1 * MIB;

/** The event times beside a category's JSON: with it they are one row of D1, which takes 2 MB. */
export const MAX_EVENT_TIMES_BYTES = 900_000;

/** All categories of an entity together: they are one KV value, which may have 25 MiB. */
export const MAX_ENTITY_BYTES = 20 * MIB;

/** A category, feature, entity value or any other name, in UTF-16 code units. */
export const MAX_NAME_CHARACTERS = 512;

/** Arrays and objects inside one feature value. Keeps every recursive walk shallow. */
export const MAX_VALUE_DEPTH = 32;

/** `Idempotency-Key` header. */
export const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

/** The longest TTL, in seconds: a hundred years. */
export const MAX_TTL_SECONDS = 100 * 366 * 24 * 60 * 60;

/** How long an `Idempotency-Key` is remembered. */
export const IDEMPOTENCY_TTL_SECONDS = 24 * 60 * 60;

/** A string parameter of a D1 statement may have 2 MB; a UTF-16 code unit is at most three bytes of it. */
export const MAX_D1_PARAMETER_CHARACTERS = 600_000;

/** Rows with longer data send it as a parameter of its own, unescaped, not inside the group's JSON. */
export const MAX_PACKED_DATA_CHARACTERS = 64_000;

/** What one D1 batch takes: far under its 30 s, and small enough that the writes behind it do not wait long. */
export const MAX_GROUP_CHARACTERS = 4_000_000;
export const MAX_GROUP_WRITES = 1_000;
export const MAX_GROUP_CATEGORIES = 5_000;

/** One row of an EntityWriter's intent log: SQLite takes 2 MB, a character is at most three bytes. */
export const MAX_INTENT_CHARACTERS = 500_000;

/** Writes waiting in one EntityWriter. Beyond it a caller is told to come back: memory is 128 MB. */
export const MAX_QUEUED_CHARACTERS = 24_000_000;

/** Events that Queues has not taken, in one EntityWriter. Beyond it writes are refused: memory is 128 MB. */
export const MAX_OWED_CHARACTERS = 16_000_000;

/** `sendBatch` of Queues. */
export const MAX_QUEUE_BATCH_MESSAGES = 100;
export const MAX_QUEUE_BATCH_BYTES = 250 * KIB;
/** Queues takes 128 KB a message; the names of an event's features are cut to this. */
export const MAX_EVENT_NAMES_BYTES = 96 * KIB;

/** KV: one write per second and key. */
export const KV_MIN_PUT_INTERVAL_MS = 1_000;
/** KV: the shortest `expirationTtl` and the shortest useful `cacheTtl`. */
export const KV_MIN_EXPIRATION_SECONDS = 60;
export const KV_CACHE_TTL_SECONDS = 30;
/** KV: keys of one bulk `get`. */
export const KV_MAX_BULK_KEYS = 100;
/** KV: bytes of one key. */
export const KV_MAX_KEY_BYTES = 512;

/** KV: a value may have 25 MiB; an entity's document is its data, escaped once more. Larger ones are not cached. */
export const KV_MAX_VALUE_BYTES = 24 * MIB;

/** Entity documents in an isolate's memory: a share of its 128 MB. */
export const MEMORY_MAX_CHARACTERS = 24_000_000;
/** Entity states in an EntityWriter's memory. */
export const WRITER_STATE_MAX_CHARACTERS = 24_000_000;

/** How often a change is decided anew when its entity was changed from elsewhere meanwhile. */
export const MAX_COMMIT_ATTEMPTS = 5;
/** D1 ends a batch after 30 s: one that has not shown by then never will. */
export const UNRESOLVED_INTENT_MS = 60_000;
/** An intent that is still there after this long is driven by the alarm: its writer has crashed, or a store is down. */
export const RECOVERY_ALARM_MS = 5_000;
export const PURGE_ALARM_MS = 60 * 60 * 1_000;

/** How long a caller should wait before it tries again after a 503. */
export const RETRY_AFTER_SECONDS = 1;

/** A catalog older than this is renewed behind the answer; older than the second, before it. */
export const CATALOG_FRESH_MS = 2_000;
export const CATALOG_MAX_AGE_MS = 10_000;

/** Features a request of training data may name, with its rows: what one query answers in seconds. */
export const MAX_FEATURES_PER_REQUEST = 50;
/** Features an online request may name. */
export const MAX_ONLINE_FEATURES = 1_000;
/** Tags of a feature. */
export const MAX_TAGS = 50;
/** A description, in characters. */
export const MAX_DESCRIPTION_CHARACTERS = 4_000;
/** Rows of a page of a list, and how many it has when nobody says. */
export const MAX_PAGE_ROWS = 1_000;
export const DEFAULT_PAGE_ROWS = 100;

/** How long an isolate trusts what it read of a key: a revocation is effective everywhere within this time. */
export const KEY_MEMORY_MS = 5_000;
/** Keys, and ids without a key, in an isolate's memory; about 1 KB each. */
export const KEY_MEMORY_MAX_KEYS = 5_000;
/** `API_KEY_SECRET`: shorter ones can be guessed. */
export const MIN_API_KEY_SECRET_CHARACTERS = 32;
/** The `period` of the binding `KEY_RATE` in wrangler.toml; the platform knows 10 and 60. */
export const RATE_LIMIT_PERIOD_SECONDS = 60;

/** Rows of one ingest or computation request. */
export const MAX_INGEST_ROWS = 10_000;
/** Faults that a refused ingest names. */
export const MAX_INGEST_FAULTS = 20;
/** Columns of a raw table: SQLite in a Durable Object takes 100, one is the row's own. */
export const MAX_RAW_COLUMNS = 90;
/** A column's name. */
export const MAX_COLUMN_NAME_CHARACTERS = 64;
/** A text or JSON cell of a raw row. */
export const MAX_CELL_CHARACTERS = 64_000;
/** All text of a raw row: it must fit a parameter of SQLite, escaped. */
export const MAX_RAW_ROW_CHARACTERS = 300_000;
/** Rows and bytes of one raw table: a Durable Object holds 10 GB, and one query must stay within seconds. */
export const MAX_RAW_ROWS = 1_000_000;
export const MAX_RAW_TABLE_BYTES = 2 * 1024 * MIB;
/** Entities that a computation writes before it answers; more become a job. */
export const MAX_INLINE_ENTITIES = 2_000;
/** Entities that a job writes with one message. */
export const JOB_PAGE_ENTITIES = 1_000;
/** Touched entities that are recomputed with one query: as many as one ingest can touch. */
export const MAX_TOUCHED_ENTITIES = MAX_INGEST_ROWS;
/** How long after an ingest its table looks whether everything has been recomputed. */
export const RECOMPUTE_ALARM_MS = 10_000;
/** The longest such a look waits, when it has asked in vain again and again. */
export const RECOMPUTE_ALARM_MAX_MS = 60 * 60 * 1_000;
/** How long one consumer may take for a page of touched entities before another takes over. */
export const FOLLOWER_LEASE_MS = 60_000;
/** Rows of a job that was never finished are kept this long. */
export const JOB_TTL_MS = 24 * 60 * 60 * 1_000;
/** Skipped rows that a report names; the others are counted. */
export const MAX_NAMED_SKIPS = 1_000;

/** SQL of a feature: long enough for any by hand, short enough that reading it takes no time. */
export const MAX_SQL_CHARACTERS = 20_000;
/** Parentheses within parentheses: keeps every walk over a query shallow, as SQLite's own 100 levels do. */
export const MAX_SQL_NESTING = 50;
/** Steps of one evaluation of all expressions, with every WITH and subquery written out: prepared in 100 ms. */
export const MAX_SQL_PARTS = 30_000;
/** What a query may cost, in steps of about 2 ns on one slow core: about two seconds, as nothing interrupts it. */
export const MAX_SQL_STEPS = 1_000_000_000;
/** What a query may keep for sorting, grouping and subqueries: the object has 128 MB for everything. */
export const MAX_SQL_KEPT_BYTES = 96 * MIB;
/** SQLITE_LIMIT_LENGTH as workerd sets it (found by trying): a longer text is an error when it is made. */
export const SQLITE_MAX_LENGTH = 8 * MIB + 64;
/** Rows, columns and bytes of a query's result. One row is one entity; the result crosses memory once as JSON. */
export const MAX_SQL_RESULT_ROWS = 200_000;
export const MAX_SQL_RESULT_COLUMNS = 100;
export const MAX_SQL_RESULT_BYTES = 24 * MIB;
/** Tables with more rows are not measured before a query; their kept numbers are taken. */
export const MAX_SQL_MEASURED_ROWS = 50_000;
