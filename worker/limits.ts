/**
 * What a caller, a store or the platform can meet as a limit, with its unit and its reason. What a platform enforces in
 * production only is enforced here as well, so that a laptop refuses what the world would.
 *
 * A number that only has a meaning inside one file, such as the share of a wait or the size of an id, stands there.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** A request's body. A Worker holds it in memory with its parsed form, and 128 MB is all an isolate has. */
export const MAX_BODY_BYTES = 10 * MIB;

/** Characters of one answer that is put together in memory, its values above all: what an isolate can hold besides all else. */
export const MAX_ANSWER_CHARACTERS = 32 * MIB;

/** Faults of one request or message that are told: one more tells nobody anything. */
export const MAX_NAMED_FAULTS = 20;

/** Unknown fields of one request that are compared with the known ones. */
export const MAX_COMPARED_NAMES = 100;

/** Entities or rows of one request: what one D1 query answers well under a second. */
export const MAX_ENTITIES_PER_REQUEST = 1_000;

/** Categories of one entity. A read of an entity reads all of them. */
export const MAX_CATEGORIES_PER_ENTITY = 200;

/** A category's JSON. D1 takes no value over 2 MB, and a write sends it once as it is. */
export const MAX_CATEGORY_BYTES = 1 * MIB;

/** The event times beside a category's JSON: with it they are one row of D1, which takes 2 MB. */
export const MAX_EVENT_TIMES_BYTES = 900_000;

/** All categories of an entity together, with their event times: a read holds all of them in memory, and KV one value of up to 25 MiB. */
export const MAX_ENTITY_BYTES = 20 * MIB;

/** Several entities that are read together from D1, which everybody shares: it holds them in memory, as does who asks. */
export const MAX_ENTITIES_BYTES = 24 * MIB;

/** A category, feature, entity value or any other name, in code points: at most 2 KB of UTF-8. */
export const MAX_NAME_CHARACTERS = 512;

/** Arrays and objects inside one feature value. Keeps every recursive walk shallow. */
export const MAX_VALUE_DEPTH = 32;

/** `Idempotency-Key` header. */
export const MAX_IDEMPOTENCY_KEY_CHARACTERS = 255;

/** The longest TTL, in seconds: a hundred years. */
export const MAX_TTL_SECONDS = 100 * 366 * 24 * 60 * 60;

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

/** What one request has a writer sent, as it crosses: a call takes 32 MiB. A body is 10, but may become that by then. */
export const MAX_WRITE_BYTES = 30 * MIB;

/** Writes waiting in one EntityWriter. Beyond it a caller is told to come back: memory is 128 MB. */
export const MAX_QUEUED_CHARACTERS = 24_000_000;

/** What events that Queues has not taken may occupy in one EntityWriter. Beyond it writes are refused: memory is 128 MB. */
export const MAX_OWED_CHARACTERS = 16_000_000;

/**
 * One `sendBatch` of Queues takes 100 messages and 256 KB (of 1,000 bytes), in which Queues counts about 100 bytes of its
 * own for each message.
 */
export const MAX_QUEUE_BATCH_BYTES = 250_000;
export const MAX_QUEUE_BATCH_MESSAGES = 100;
/**
 * Events in one message: Queues bills each 64 KB of it as one operation, and four such messages fill a `sendBatch`. A
 * single event may have more, then it is a message by itself.
 */
export const MAX_QUEUE_MESSAGE_BYTES = MAX_QUEUE_BATCH_BYTES / 4;
/** Queues takes 128 KB a message; the names of an event's features are cut to this. */
export const MAX_EVENT_NAMES_BYTES = 96 * KIB;

/** KV: one write per second and key. */
export const KV_MIN_PUT_INTERVAL_MS = 1_000;
/** KV: the shortest `expirationTtl` and the shortest useful `cacheTtl`. */
export const KV_MIN_EXPIRATION_SECONDS = 60;
export const KV_CACHE_TTL_SECONDS = 30;
/** KV: keys of one bulk `get`. */
export const KV_MAX_BULK_KEYS = 100;
/** Of a read of many entities: KV answers up to 25 MB to each, and an isolate has 128 MB for all that it does. */
export const KV_BULK_READS_AT_ONCE = 2;
/** KV: bytes of one key. */
export const KV_MAX_KEY_BYTES = 512;

/**
 * KV: a value may have 25 MiB. A document is an entity's data, escaped once more; where the data alone have half of this,
 * or the document is larger, it is not cached.
 */
export const KV_MAX_VALUE_BYTES = 24 * MIB;

/** Documents renewed behind one answer: as many as a request may ask for, ten reads of KV. */
export const MEMORY_MAX_RENEWALS = 1_000;

/** How many writes an isolate knows of, and how many documents that were asked for or are being fetched. */
export const MAX_REMEMBERED_WRITES = 20_000;

/** Texts of requests (addresses, bodies) by which an endpoint recognises them: all together, and the longest one. */
export const KNOWN_INPUTS_MAX_CHARACTERS = 400_000;
export const KNOWN_INPUT_MAX_CHARACTERS = 20_000;

/** Documents of one such call. */
export const MAX_FILL_ENTITIES = 1_000;

/** An answer for many entities up to this size is put together in a buffer that is used again; a larger one in its own. */
export const ONLINE_ROOM_BYTES = 4_000_000;
/** Entity documents in an isolate's memory: a character takes up to 12 bytes of 128 MB, with all that is prepared from it. */
export const MEMORY_MAX_CHARACTERS = 6_000_000;
/** Entity states in the memory of all EntityWriters of an isolate. */
export const WRITER_STATE_MAX_CHARACTERS = 24_000_000;

/** How often a change is decided anew when its entity was changed from elsewhere meanwhile. */
export const MAX_COMMIT_ATTEMPTS = 5;

/**
 * Rows of one category and event time that a late row is compared with, the newest first. Mostly the first of them speaks
 * of the same. Where so many speak of other features, it is written again, and what is read stays what it was.
 */
export const COMPARED_LATE_ROWS = 200;

/** Databases with entities: 640 GB. The consistency token of a bulk write names each, and a header takes a few kilobytes. */
export const MAX_ENTITY_DATABASES = 64;

/** Tenants whose catalog an isolate holds. With more, those not asked for lately are read from D1 again. */
export const CATALOG_MAX_TENANTS = 1_000;

/** Features a request of training data may name, with its rows: what one query answers in seconds. */
export const MAX_FEATURES_PER_REQUEST = 50;
/** Features an online request may name. */
export const MAX_ONLINE_FEATURES = 1_000;
/** Features of a tenant, and their versions, all together: an isolate that serves the tenant holds them in memory. */
export const MAX_FEATURES_PER_TENANT = 5_000;
export const MAX_VERSIONS_PER_TENANT = 10_000;
/** Entity types of a tenant's removed features: they stay known, in the same memory. */
export const MAX_PAST_ENTITY_TYPES = 1_000;
/** The default value of a version as JSON. */
export const MAX_DEFAULT_VALUE_BYTES = 64 * KIB;
/** All texts of a tenant's registry together: default values, SQL, descriptions, tags. A list may answer all of them. */
export const MAX_DEFINITIONS_BYTES = 16 * MIB;
/** Raw tables of a tenant: a list answers all of them, with their columns. */
export const MAX_RAW_TABLES_PER_TENANT = 500;

/** Tags of a feature. */
export const MAX_TAGS = 50;
/** A description, in characters. */
export const MAX_DESCRIPTION_CHARACTERS = 4_000;
/** Rows of a page of a list: at most, and where the caller does not say. */
export const MAX_PAGE_ROWS = 1_000;
export const DEFAULT_PAGE_ROWS = 100;

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
/**
 * Of a tenant's move to more databases: rows whose keys are read at once, bytes of rows that are copied at once, and rows
 * that one statement removes. Each is some ten milliseconds of a database, which serves others too.
 */
export const MOVE_PAGE_ROWS = 1_000;
export const MOVE_BATCH_BYTES = 256 * KIB;
export const MOVE_DELETED_ROWS = 1_000;
/** After so many bytes it is noted how far the move is: what comes after them is done again when it breaks off. */
export const MOVE_PAGE_BYTES = 4 * MIB;
/** Changed entities that are copied once more at once, and how few of a writer's are left before no write is taken. */
export const MOVE_ENTITIES_AT_ONCE = 100;
export const MOVE_FEW_ENTITIES = 200;
/** Records of hot-cache documents that one call hands from one writer to another. */
export const MOVED_DOCUMENTS_AT_ONCE = 5_000;
/** Of a tenant that is deleted, at once: raw tables; documents and writers, with six calls at the same time. Each some seconds. */
export const DELETED_TABLES_AT_ONCE = 50;
export const DELETED_AT_ONCE = 500;

/** Texts of the rows of one page: as JSON they are six times as long at most, and an object answers with 32 MiB. */
export const MAX_ROWS_PAGE_BYTES = 4 * MIB;
/** Rows and bytes of one raw table: a Durable Object holds 10 GB, and one query must stay within seconds. */
export const MAX_RAW_ROWS = 1_000_000;
export const MAX_RAW_TABLE_BYTES = 2 * 1024 * MIB;
/** How long a raw table may keep its rows: a century. What is to stay longer needs no retention. */
export const MAX_RETENTION_DAYS = 36_500;
/**
 * Rows of which a raw table notes the oldest time together, and so many that one step of a purge, or of any other walk
 * over its rows, looks at, or as many as have these bytes: tens of milliseconds, in which nobody else is heard.
 */
export const PURGE_BLOCK_ROWS = 100;
export const PURGE_BLOCKS_PER_STEP = 100;
export const MAX_PURGE_BYTES = 16 * MIB;
/** Steps of a purge before its alarm does its other work, and comes again. */
export const PURGE_STEPS_PER_ALARM = 50;
/** A computation with at most so many entities writes them before it answers; with more it becomes a job. */
export const MAX_INLINE_ENTITIES = 2_000;
/** Entities that a job writes with one message. */
export const JOB_PAGE_ENTITIES = 1_000;
/**
 * Entities that a computation sends to the writers at once: they spread over the partitions, and each writer commits its
 * share as a group.
 */
export const ENTITIES_PER_ROUND = 1_000;
/** Touched entities that are recomputed with one query: as many as one ingest can touch. */
export const MAX_TOUCHED_ENTITIES = MAX_INGEST_ROWS;
/** Tries of a message that only the tenant's own SQL or rows keep from its end: each costs as much as the first. */
export const MAX_OWN_FAULT_TRIES = 5;
/** Pages of touched entities of one feature with one message: what has come meanwhile waits behind other tables. */
export const MAX_ROUNDS_PER_MESSAGE = 5;
/** Queries that fail before a page of touched entities is given up: enough to find 15 entities of the most it may have. */
export const MAX_FAILED_QUERIES = 200;
/** Steps of all those queries: the heaviest one that may run takes three budgets to find one entity. Other tables wait. */
export const MAX_FAILED_STEPS = 4_000_000_000;
/** Versions that are recomputed as rows of one table arrive: each is a query of up to two seconds, for each ingest. */
export const MAX_STREAMING_VERSIONS_PER_TABLE = 20;
/** Jobs of a raw table that are not finished: each result is up to 24 MiB, in memory once, beside the table's rows. */
export const MAX_UNFINISHED_JOBS = 10;
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
/**
 * What one row of a query may have, whatever its data: SQLite has made all of it, and the object a copy, before its
 * bytes are counted. Eight of the longest texts that SQLite makes.
 */
export const MAX_SQL_ROW_BYTES = 64 * MIB;
/** SQLITE_LIMIT_LENGTH as workerd sets it (found by trying): a longer text is an error when it is made. */
export const SQLITE_MAX_LENGTH = 8 * MIB + 64;
/**
 * Rows, columns and bytes of a query's result; of the vectors that it makes, with the names of the columns in each of
 * them, as many bytes. One row is one entity. An object answers another Worker with 32 MiB at most.
 */
export const MAX_SQL_RESULT_ROWS = 200_000;
export const MAX_SQL_RESULT_COLUMNS = 100;
export const MAX_SQL_RESULT_BYTES = 24 * MIB;
/** Of statements that a table tries with other columns before others have their turn: some hundreds of short ones. */
export const STATEMENTS_PER_CALL_CHARACTERS = 64 * 1024;
/** Tables with more rows are not measured before a query; their kept numbers are taken. */
export const MAX_SQL_MEASURED_ROWS = 50_000;

/** Registered features in one category that one write's statistics are taken of: their names are one parameter of D1. */
export const MAX_COUNTED_FEATURES_PER_WRITE = 1_000;
/** Feature versions of a tenant with statistics, each with a row an hour, in one Durable Object of 10 GB. */
export const MAX_STATS_FEATURES = 10_000;
/** Columns of a vector with statistics of their own: as many as a query's result has. */
export const MAX_STATS_COLUMNS = 100;
/** Hours of one answer of statistics, a month: with all columns of a vector 74,400 rows of SQLite, under a second. */
export const MAX_STATS_HOURS = 31 * 24;
export const DEFAULT_STATS_HOURS = 24;
/** Values sent to the object of statistics with one call, about 100 bytes each: an RPC takes 32 MiB. */
export const MAX_STATS_VALUES_PER_CALL = 20_000;
/** Rows that one alarm removes from statistics before it lets others in. */
export const STATS_PURGE_ROWS = 10_000;

/** The URL of a receiver of events: longer ones are not taken everywhere. */
export const MAX_RECEIVER_URL_CHARACTERS = 2_048;
/** The `Authorization` of a receiver: tokens fit, and many a server takes 8 KiB of all headers together. */
export const MAX_AUTHORIZATION_CHARACTERS = 4_096;
/** The topic of a `kafka-rest` subscription: what Kafka takes. */
export const MAX_TOPIC_CHARACTERS = 249;
/** What is kept of what a Kafka proxy says about a failure. */
export const MAX_KAFKA_REASON_CHARACTERS = 200;
/** Subscriptions of a tenant: every event is compared with each, and each that matches is a call to an object. */
export const MAX_SUBSCRIPTIONS_PER_TENANT = 50;
/** Names in one filter of a subscription. */
export const MAX_FILTER_NAMES = 100;
/** Subscriptions that one batch of events is handed to at the same time, and the bytes of events in each call. */
export const HAND_OVERS_AT_ONCE = 6;
export const MAX_HAND_OVER_BYTES = 250 * KIB;
/** Events of one subscription that wait: an object holds 10 GB. Beyond it the subscription is paused by itself. */
export const MAX_PENDING_DELIVERIES = 100_000;
export const MAX_PENDING_BYTES = 2 * 1024 * MIB;
/** Finished deliveries that are kept to look at and to repeat; the oldest go first. */
export const MAX_DELIVERED_KEPT = 10_000;
export const MAX_DEAD_KEPT = 50_000;
export const MAX_FINISHED_BYTES = 1024 * MIB;
/** Tries of one delivery: with a first wait of up to 5 s, doubled each time, within 2.4 hours, 1.2 on average. */
export const MAX_DELIVERY_ATTEMPTS = 12;
/** Requests to one receiver at once: a Worker has 6 connections, one stays for D1. */
export const DELIVERIES_AT_ONCE = 5;
/** Events of one request to a Kafka REST proxy, each of another entity, and their bytes. */
export const MAX_KAFKA_EVENTS = 100;
export const MAX_KAFKA_REQUEST_BYTES = 1 * MIB;
/** What is read of a Kafka REST proxy's answer: an offset or an error for each event. Of a webhook's nothing is. */
export const MAX_RECEIVER_ANSWER_BYTES = 256 * KIB;
/** What is kept of the words in which a delivery failed. */
export const MAX_DELIVERY_ERROR_CHARACTERS = 300;
/** Requests of one such run: with up to four look-ups of an address each it stays under 10,000 subrequests. */
export const MAX_REQUESTS_PER_RUN = 1_500;
/** Steps of a replay in one such run, each a few queries: D1 takes 1,000 of an invocation. */
export const MAX_REFILLS_PER_RUN = 100;
/** A replay adds more only while fewer events than this wait, so that what is new is not long behind it. */
export const REPLAY_LOW_WATER = 1_000;
/**
 * Rows of the history that retention judges in one step, far under D1's 30 s, and those that it walks over, in the index
 * alone, until it has found so many.
 */
export const RETENTION_ROWS_PER_STEP = 2_000;
export const RETENTION_WALKED_PER_STEP = 20_000;
/** Steps in one database that find fewer: in an hour D1 bills a million rows that are read, twice where some are judged. */
export const RETENTION_WALKS_PER_RUN = 13;
/**
 * What retention archives at once, and in how many files: it stands in memory twice, as rows and as a file.
 */
export const ARCHIVE_MAX_BYTES_AT_ONCE = 4_000_000;
export const ARCHIVE_MAX_FILES_AT_ONCE = 10;
/**
 * Steps of a run of the cron, in all databases: each asks D1 six times at most, which takes 1,000 queries of an invocation,
 * and a move of a tenant has some of them.
 */
export const RETENTION_STEPS_PER_RUN = 120;

/** Values of the history that are read with one query: D1, which everybody shares, holds them in memory, as does who asks. */
export const MAX_PAST_BYTES = 24 * MIB;

/** Rows of a training set: as many as a request's body holds. */
export const MAX_TRAINING_SET_ROWS = 100_000;
/** Training sets of a tenant that are kept; each is in the bucket until it is deleted. */
export const MAX_TRAINING_SETS_PER_TENANT = 100;
/** Rows, values and their characters of one file of a training set: it stands in memory twice, as values and as a file. */
export const TRAINING_SET_FILE_ROWS = 10_000;
export const TRAINING_SET_FILE_VALUES = 100_000;
export const TRAINING_SET_FILE_CHARACTERS = 8 * MIB;
/** What one query reads for such a file: rows, look-ups (one for each category of a row), and about so many characters. */
export const TRAINING_SET_QUERY_ROWS = 1_000;
export const TRAINING_SET_QUERY_LOOKUPS = 5_000;
export const TRAINING_SET_QUERY_CHARACTERS = 2 * MIB;
/** How often a file is begun before its set counts as failed, whoever asks for it: the queue, or a caller who looks. */
export const MAX_TRAINING_SET_TRIES = 8;

/** Rows of the history that one step of a replay looks at, and dead deliveries that it revives. */
export const REPLAY_ROWS_PER_STEP = 2_000;
/** Rows before those of its range that it passes over, in the index alone: some tens of milliseconds of D1. */
export const REPLAY_PASSED_PER_STEP = 50_000;
/** JSON whose names one query of a replay takes out: an answer of D1 is held in memory. */
export const REPLAY_BYTES_PER_QUERY = 4 * MIB;

/** Analytics Engine: blobs, doubles and bytes of the index of a point, points of an invocation. */
export const AE_MAX_BLOBS = 20;
export const AE_MAX_DOUBLES = 20;
export const AE_MAX_INDEX_BYTES = 96;
export const AE_MAX_POINTS_PER_INVOCATION = 25;

/** Series in the totals: endpoints × methods × statuses, ten times over. A Prometheus server keeps each of them. */
export const MAX_METRIC_SERIES = 5_000;
/** One row of the stored totals: SQLite takes 2 MB, a character is at most three bytes. */
export const MAX_TOTALS_ROW_CHARACTERS = 500_000;

/** Series of StatsD between two flushes of an isolate: endpoints × methods × statuses × entity types, twice over. */
export const STATSD_MAX_SERIES = 500;
/**
 * Durations of one series that a flush sends; where there are more, so many are drawn by chance and sent with their rate.
 * With the limit above a flush is 5 MB at the very most.
 */
export const STATSD_MAX_SAMPLES = 20;
/** A tag or a name is cut here: Datadog takes 200 characters. */
export const STATSD_MAX_NAME_CHARACTERS = 200;
