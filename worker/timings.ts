/**
 * How long things are waited for, remembered and left alone, in milliseconds or seconds as their names say, and why.
 * What is refused or cut is in `limits.ts`.
 */
import { KV_CACHE_TTL_SECONDS, KV_MIN_PUT_INTERVAL_MS } from "./limits.ts";

/** A request slower than this is worth a warning: far over what a read or a write takes. */
export const SLOW_REQUEST_MS = 1_000;

/** How long an `Idempotency-Key` is remembered. */
export const IDEMPOTENCY_TTL_SECONDS = 24 * 60 * 60;

/** How long a group waits at most for more changes; also no longer than the group before it took. */
export const GATHER_MAX_MS = 20;

/** Events that come within this time of the last batch wait for its end, to go together. */
export const OUTBOX_PAUSE_MS = 50;
/** Pauses before what Queues has not taken is sent again: the first one, and the longest. Each is twice the one before. */
export const OUTBOX_FIRST_RETRY_MS = 100;
export const OUTBOX_LONGEST_RETRY_MS = 30_000;

/**
 * Shares of the time for which a document is remembered. A read after the second renews it behind the answer, together
 * with all others that were read after their first: KV reads many keys at once.
 */
export const MEMORY_LATE_SHARE = 0.5;
export const MEMORY_RENEW_SHARE = 0.8;

/**
 * How long an isolate knows of a write through it: twice the time for which KV may show the old document, which is its
 * cache time after a put that itself may have waited its turn.
 */
export const WRITE_MEMORY_MS = 2 * (KV_CACHE_TTL_SECONDS * 1_000 + KV_MIN_PUT_INTERVAL_MS);

/** How long a reader waits for another one that fetches the same document, and how often it looks. */
export const FETCH_WAIT_MS = 100;
export const FETCH_LOOK_MS = 2;

/** Reads that miss the cache within this time ask for their documents with one call. */
export const FILL_GATHER_MS = 20;
/** The request that gathers them may be cancelled: after this long another one does. */
export const FILL_GATHER_STALE_MS = 1_000;
/** How long an isolate does not ask again for a document that it has asked for. */
export const FILL_PAUSE_MS = 5_000;

/** How long after its time a document is kept, to be used again when KV answers the same revision. */
export const MEMORY_KNOWN_MS = 10_000;

/** D1 ends a batch after 30 s: one that has not shown by then never will. */
export const UNRESOLVED_INTENT_MS = 60_000;
/** An intent that is still there after this long is driven by the alarm: its writer has crashed, or a store is down. */
export const RECOVERY_ALARM_MS = 5_000;
export const PURGE_ALARM_MS = 60 * 60 * 1_000;
/** How often a writer looks for records of documents that KV has no longer. Until then they are passed over. */
export const DOCUMENT_WALK_MS = 6 * 60 * 60 * 1_000;

/** How long a caller should wait before it tries again after a 503. */
export const RETRY_AFTER_SECONDS = 1;
/** The same where its tenant is being spread over more databases: some 13 seconds, which five tries are longer than. */
export const MOVING_RETRY_AFTER_SECONDS = 5;

/** A catalog older than this is renewed behind the answer; older than the second, before it. */
export const CATALOG_FRESH_MS = 2_000;
export const CATALOG_MAX_AGE_MS = 10_000;
/** After this long all of it is read again, though its stamp is the same: what was changed in D1 by hand has made none. */
export const CATALOG_WHOLE_MS = 60_000;
/** When D1 has not answered for a catalog, requests that can do without a new one do not ask again for this long. */
export const CATALOG_RETRY_MS = 1_000;

/** How long an isolate trusts what it knows of the databases of a tenant, where more than one is bound. */
export const SPREAD_MAX_AGE_MS = CATALOG_MAX_AGE_MS;
/** How often the cron runs, as wrangler.toml says. */
export const CRON_EVERY_MS = 15 * 60_000;
/**
 * How long one request, or run of the cron, goes on with spreading a tenant over more databases. D1 takes 1,000 queries of an
 * invocation; each of them is followed by a rest.
 */
export const MOVE_REQUEST_MS = 5_000;
export const MOVE_RUN_MS = 20_000;
/** How long a writer takes no write, unless it is told again: then it asks D1 whether its entities have moved. */
export const MOVE_PAUSE_MS = 30_000;
/**
 * How long writers may take to have nothing under way: while a queue or KV does not answer they take writes again, and pause
 * anew after the second time.
 */
export const MOVE_DRAIN_MS = 4_000;
/** The same where the queue is local: its consumer gets an event after a second or more, and tells the writer two later. */
export const MOVE_LOCAL_DRAIN_MS = 15_000;
export const MOVE_NEXT_PAUSE_MS = 30_000;
/** The clocks of who moves a tenant and of its writers may differ by this much. */
export const MOVE_CLOCKS_DIFFER_MS = 60_000;
/** Once its entities are found in their new databases a tenant takes no write until every isolate has learnt of it. */
export const MOVE_OPENING_MS = SPREAD_MAX_AGE_MS + 2_000;
/** How long what has moved stays where it was, for requests and replays that began before. */
export const MOVED_ROWS_TTL_MS = 60 * 60 * 1_000;

/** How long one message, or run of the cron, goes on with the deletion of a tenant: as with a move. */
export const DELETION_PIECE_MS = 5_000;
export const DELETION_RUN_MS = 20_000;
/**
 * Longer than anything is under way that could still put something of a deleted tenant where it was removed: the platform
 * ends what a queue, the cron or an alarm has begun after 15 minutes, D1 a statement after 30 s, and a key is trusted for
 * some minutes at most.
 */
export const DELETION_LATE_MS = 30 * 60_000;
/** Who moves or deletes a tenant rests after each piece of work for as long as it took, and so long at most. */
export const MOST_REST_MS = 1_000;

/** How long an isolate trusts what it read of a key: a revocation is effective everywhere within this time, unless D1 does not answer. */
export const KEY_MEMORY_MS = 5_000;
/** How much longer it trusts a key that it has proven, while D1 does not answer: reads from the caches go on. */
export const KEY_GRACE_MS = 5 * 60 * 1_000;

/** How long after an ingest its table looks whether everything has been recomputed. */
export const RECOMPUTE_ALARM_MS = 10_000;
/** How long it waits at most for its next look, after looks that brought nothing. */
export const RECOMPUTE_ALARM_MAX_MS = 60 * 60 * 1_000;
/** How often a table that keeps its rows for some time looks for older ones: at most, and at least. */
export const AGED_ROWS_ALARM_MS = 60 * 60 * 1_000;
export const AGED_ROWS_ALARM_MAX_MS = 24 * 60 * 60 * 1_000;
/** When a table goes on with a purge that has failed or died. */
export const PURGE_RETRY_MS = 60_000;
/** When a table that somebody is dropping, or changing, looks what has become of it: D1 ends a statement after 30 s. */
export const REGISTRY_CHANGE_ALARM_MS = 60_000;
/**
 * How long a raw table keeps its rows that is missing in D1 though nobody has deleted it, since D1 was put back to a time
 * before it: so long somebody may take to put D1 forward again. And how often it looks meanwhile.
 */
export const MISSING_TABLE_TTL_MS = 7 * 24 * 60 * 60 * 1_000;
export const MISSING_TABLE_ALARM_MS = 60 * 60 * 1_000;
/**
 * The longest that a message waits before it comes again: the 20 tries of `feature-compute` take a quarter of an hour,
 * the 100 of `feature-availability` an hour and a half.
 */
export const QUEUE_RETRY_MAX_SECONDS = 60;
/** No further file of a training set is begun in a batch that has lasted so long: an invocation has 30 s of processor. */
export const TRAINING_SETS_BATCH_MS = 10_000;
/**
 * How long one consumer may take for a page of touched entities before another takes over, and a computation by hand
 * before it is taken for dead: twice the time after which D1 ends what it was to write.
 */
export const FOLLOWER_LEASE_MS = 60_000;
/**
 * How long an erasure of rows waits for computations of them that are being written, and how often it looks. One that died
 * holds it up for as long as it may take: who asked comes again.
 */
export const ERASURE_WAIT_MS = 20_000;
export const ERASURE_LOOK_MS = 50;
/** How long an ended job can be asked for, and how many jobs one run of the cron looks at: far under D1's 30 s. */
export const ENDED_JOB_TTL_SECONDS = 30 * 24 * 60 * 60;
export const JOBS_PER_CLEANING = 1_000;
/** Hidden training sets that one run of the cron removes with their files, of which each has a few dozen at most. */
export const TRAINING_SETS_PER_CLEANING = 100;
/** Whoever keeps the rows of a job registers it in D1, which ends a statement after 30 s: by then it is there, or never will be. */
export const JOB_START_MS = 60_000;
/** Rows of a job that was never finished are kept this long. */
export const JOB_TTL_MS = 24 * 60 * 60 * 1_000;

/** How long an event is known to be counted. Queues repeats for an hour and a half; a writer that had no D1, some hours later. */
export const STATS_EVENT_MEMORY_MS = 24 * 60 * 60 * 1_000;

/** How long a subscription knows that it has had an event, and how many it knows: a message comes again for an hour and a half. */
export const EVENT_MEMORY_MS = 2 * 60 * 60 * 1_000;
export const EVENT_MEMORY_MAX = 1_000_000;
/** The longest delay before another try, and the longest that a receiver's `Retry-After` may ask for. */
export const DELIVERY_RETRY_MAX_MS = 60 * 60 * 1_000;
/** How long one alarm delivers before the next takes over: the platform ends it after 15 minutes. */
export const DELIVERY_RUN_MS = 5 * 60 * 1_000;
/** When a run of deliveries is looked after if it has died, or could not do its work. */
export const DELIVERY_RECOVERY_MS = 5_000;
/** How often a paused subscription with something to deliver looks whether it still is, in case nobody could tell it. */
export const PAUSED_CHECK_MS = 10 * 60 * 1_000;

/** A training set that has made no progress for so long has lost its message: the next request for it sends another. */
export const TRAINING_SET_STALLED_MS = 5 * 60_000;

/** A part that does not answer `/health` within this is down, as far as a caller is concerned. */
export const HEALTH_TIMEOUT_MS = 2_000;
/** What does not say within this how long or large it is, is left out of `/metrics`: a scrape has some seconds. */
export const METRICS_SOURCE_TIMEOUT_MS = 2_000;

/** How long an isolate gathers counts before it sends them to the object in which they add up. */
export const METRICS_FLUSH_MS = 2_000;
/** An invocation that has promised to send and not done it by then has been cancelled: another one takes over. */
export const METRICS_OWNER_STALE_MS = 5_000;
/** A call that carries counts and has no outcome by then is repeated; its number keeps it from counting twice. */
export const METRICS_SEND_STALE_MS = 10_000;
/** Tries of one invocation: together longer than a call may hang, shorter than the 30 s that a Worker lives after its answer. */
export const METRICS_SEND_ATTEMPTS = 8;
/** How often the totals are written down while they change: each time a few rows, at $1 a million. */
export const METRICS_PERSIST_MS = 10_000;
/** A gauge that its writer has not renewed by then is dropped: three times the longest pause between its tries. */
export const GAUGE_TTL_MS = 3 * OUTBOX_LONGEST_RETRY_MS;
/** How long the number of an isolate's last flush is remembered: far longer than it repeats one. */
export const FLUSH_MEMORY_MS = 60 * 60 * 1_000;

/** How long a flush may take, connecting and closing included: a server nearby needs milliseconds, and `/metrics` waits for it. */
export const STATSD_FLUSH_TIMEOUT_MS = 1_000;
/** After a flush that failed no other is tried for so long; what is counted meanwhile is sent then. */
export const STATSD_RETRY_MS = 10_000;
/** A server that stays away is logged once in so long. */
export const STATSD_LOG_MS = 60_000;
