-- Queries of the Analytics Engine dataset, for its SQL API (README, Monitoring): one at a time, or as panels of Grafana
-- with its ClickHouse data source. In staging and production the table is `feature_store_staging` and
-- `feature_store_production`.
--
-- A point is one request, or the operations of one invocation that ended alike (then `count` of them; their
-- `duration_ms` is all of them together, `longest_ms` the longest). Points may be sampled: each stands for
-- `_sample_interval` of them. -1 in a number and an empty text mean that a column does not apply;
-- from double13 on the columns are those of operations, and 0 in a point of a request.
--
-- index1   tenant
-- blob1    kind                request, operation
-- blob2    operation           read.single_item, d1.get_item, …
-- blob3    endpoint            the route's pattern
-- blob4    method
-- blob5    outcome             of a request 2xx, 4xx, 5xx; of an operation ok, error
-- blob6    entity_type         bright_uid, account_id, other
-- blob7    cache_tier          the slowest that was needed: memory, kv, d1
-- double1  count
-- double2  duration_ms
-- double3  status
-- double4  entities            read or written
-- double5  categories          written
-- double6  reads_memory
-- double7  reads_kv
-- double8  reads_d1
-- double9  values_present
-- double10 values_null
-- double11 values_not_found
-- double12 values_outside_max_age
-- double13 longest_ms
-- double14 items               keys, rows, messages; of writer.commit the writes of the group
-- double15 writes_applied
-- double16 writes_stale
-- double17 writes_duplicate
-- double18 writes_rejected
-- double19 writes_deleted
-- double20 writes_unacknowledged

-- How many requests come in each minute, by endpoint and outcome?
SELECT
  toStartOfInterval(timestamp, INTERVAL '1' MINUTE) AS minute,
  blob3 AS endpoint,
  blob5 AS outcome,
  sum(_sample_interval * double1) AS count_requests
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' HOUR AND blob1 = 'request'
GROUP BY minute, endpoint, outcome
ORDER BY minute, endpoint, outcome;

-- How long do requests take, by endpoint?
SELECT
  blob3 AS endpoint,
  blob4 AS method,
  sum(_sample_interval * double1) AS count_requests,
  quantileExactWeighted(0.5)(double2, _sample_interval) AS duration_ms_p50,
  quantileExactWeighted(0.99)(double2, _sample_interval) AS duration_ms_p99
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request'
GROUP BY endpoint, method
ORDER BY count_requests DESC;

-- Which tenants ask most, and what share of their requests fails by our fault?
SELECT
  index1 AS tenant,
  sum(_sample_interval * double1) AS count_requests,
  sumIf(_sample_interval * double1, double3 >= 500) AS count_failed,
  sumIf(_sample_interval * double1, double3 >= 500) / sum(_sample_interval * double1) AS count_failed_share
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request'
GROUP BY tenant
ORDER BY count_requests DESC
LIMIT 50;

-- Which endpoints refuse, with which status?
SELECT
  blob3 AS endpoint,
  double3 AS status,
  sum(_sample_interval * double1) AS count_requests
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request' AND double3 >= 400
GROUP BY endpoint, status
ORDER BY count_requests DESC
LIMIT 100;

-- What share of entity reads does each tier answer, by hour? Hits of a cache are memory and KV, misses D1.
SELECT
  toStartOfInterval(timestamp, INTERVAL '1' HOUR) AS hour,
  sum(_sample_interval * double6) AS reads_memory,
  sum(_sample_interval * double7) AS reads_kv,
  sum(_sample_interval * double8) AS reads_d1,
  sum(_sample_interval * (double6 + double7)) / sum(_sample_interval * (double6 + double7 + double8)) AS reads_memory_and_kv_share
FROM feature_store
WHERE timestamp > now() - INTERVAL '7' DAY AND blob1 = 'request' AND double6 >= 0 AND double7 >= 0 AND double8 >= 0
GROUP BY hour
ORDER BY hour;

-- How long does a read take, by the slowest tier that it needed?
SELECT
  blob7 AS cache_tier,
  sum(_sample_interval * double1) AS count_requests,
  quantileExactWeighted(0.5)(double2, _sample_interval) AS duration_ms_p50,
  quantileExactWeighted(0.99)(double2, _sample_interval) AS duration_ms_p99
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request' AND blob7 != ''
GROUP BY cache_tier
ORDER BY cache_tier;

-- What became of the values that were asked for, by hour and tenant?
SELECT
  toStartOfInterval(timestamp, INTERVAL '1' HOUR) AS hour,
  index1 AS tenant,
  sumIf(_sample_interval * double9, double9 >= 0) AS values_present,
  sumIf(_sample_interval * double10, double10 >= 0) AS values_null,
  sumIf(_sample_interval * double11, double11 >= 0) AS values_not_found,
  sumIf(_sample_interval * double12, double12 >= 0) AS values_outside_max_age
FROM feature_store
WHERE timestamp > now() - INTERVAL '7' DAY AND blob1 = 'request'
GROUP BY hour, tenant
ORDER BY hour, tenant;

-- What became of writes and deletions, by hour and tenant?
SELECT
  toStartOfInterval(timestamp, INTERVAL '1' HOUR) AS hour,
  index1 AS tenant,
  sumIf(_sample_interval * double15, double15 >= 0) AS writes_applied,
  sumIf(_sample_interval * double16, double16 >= 0) AS writes_stale,
  sumIf(_sample_interval * double17, double17 >= 0) AS writes_duplicate,
  sumIf(_sample_interval * double18, double18 >= 0) AS writes_rejected,
  sumIf(_sample_interval * double19, double19 >= 0) AS writes_deleted,
  sumIf(_sample_interval * double20, double20 >= 0) AS writes_unacknowledged
FROM feature_store
WHERE timestamp > now() - INTERVAL '7' DAY AND blob1 = 'operation' AND blob2 = 'writer.commit'
GROUP BY hour, tenant
ORDER BY hour, tenant;

-- How many writes does one transaction commit?
SELECT
  toStartOfInterval(timestamp, INTERVAL '1' HOUR) AS hour,
  sum(_sample_interval * double1) AS count_groups,
  sum(_sample_interval * double14) AS items_together,
  sum(_sample_interval * double14) / sum(_sample_interval * double1) AS items_mean
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'operation' AND blob2 = 'writer.commit' AND double14 >= 0
GROUP BY hour
ORDER BY hour;

-- How often is each store asked, how long does it take, how often does it fail?
SELECT
  blob2 AS operation,
  blob5 AS outcome,
  sum(_sample_interval * double1) AS count_operations,
  sum(_sample_interval * double2) / sum(_sample_interval * double1) AS duration_ms_mean,
  max(double13) AS longest_ms
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'operation'
GROUP BY operation, outcome
ORDER BY operation, outcome;

-- How large are requests: entities and categories, by operation?
SELECT
  blob2 AS operation,
  sum(_sample_interval * double1) AS count_requests,
  sumIf(_sample_interval * double4, double4 >= 0) AS entities_together,
  sumIf(_sample_interval * double5, double5 >= 0) AS categories_together
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request'
GROUP BY operation
ORDER BY count_requests DESC;

-- Which entity types are asked for?
SELECT
  blob6 AS entity_type,
  blob2 AS operation,
  sum(_sample_interval * double1) AS count_requests
FROM feature_store
WHERE timestamp > now() - INTERVAL '1' DAY AND blob1 = 'request' AND blob6 != ''
GROUP BY entity_type, operation
ORDER BY count_requests DESC;
