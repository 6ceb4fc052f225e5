/** SQL as features are really made of, over rows whose results are known. */

/** A column for each hour of three days, or an expression for each. */
const hours = (form: (hour: number) => string) =>
  Array.from({ length: 72 }, (_, hour) => form(hour)).join(", ");

interface Realistic {
  name: string;
  sql: string;
  rows: unknown[][];
  /** Of many rows its worst case is too costly. */
  small?: true;
}

/** Over `data(user_id, ts, amount, kind, hour)`, see `REALISTIC_ROWS`. */
export const REALISTIC: readonly Realistic[] = [
  {
    name: "a pivot of 72 columns, then chains of SELECT *",
    sql: `WITH pivot AS (
        SELECT user_id, ${hours((hour) => `SUM(CASE WHEN hour = ${hour} THEN amount ELSE 0 END) AS h${hour}`)}
        FROM data GROUP BY user_id),
      first AS (SELECT *, h10 + h11 AS morning FROM pivot),
      second AS (SELECT *, h34 + h35 AS next_morning FROM first),
      third AS (SELECT *, morning + next_morning AS mornings FROM second),
      fourth AS (SELECT *, mornings + h50 AS total FROM third)
      SELECT user_id, morning, next_morning, mornings, total FROM fourth WHERE total > 0 ORDER BY user_id`,
    rows: [
      ["u1", 30, 40, 70, 70],
      ["u2", 5, 0, 5, 13],
    ],
  },
  {
    name: "sessions",
    sql: `WITH events AS (
        SELECT user_id, ts, amount, kind, julianday(ts) AS at,
          LAG(julianday(ts)) OVER (PARTITION BY user_id ORDER BY ts) AS before,
          LAG(kind) OVER (PARTITION BY user_id ORDER BY ts) AS kind_before FROM data),
      gaps AS (SELECT *, (at - before) * 1440 AS minutes FROM events),
      starts AS (SELECT *, CASE WHEN before IS NULL OR minutes > 30 THEN 1 ELSE 0 END AS is_start,
        CASE WHEN kind = kind_before THEN 0 ELSE 1 END AS is_change FROM gaps),
      numbered AS (SELECT *, SUM(is_start) OVER (PARTITION BY user_id ORDER BY ts) AS session FROM starts),
      sessions AS (SELECT user_id, session, COUNT(*) AS events, SUM(amount) AS amount, SUM(is_change) AS changes,
        ROUND((MAX(at) - MIN(at)) * 1440, 1) AS minutes FROM numbered GROUP BY user_id, session)
      SELECT user_id, COUNT(*) AS sessions, MAX(events) AS longest, ROUND(AVG(minutes), 1) AS minutes,
        MAX(amount) AS best, SUM(changes) AS changes FROM sessions GROUP BY user_id ORDER BY user_id`,
    rows: [
      ["u1", 2, 2, 7.5, 40, 3],
      ["u2", 2, 1, 0, 8, 1],
    ],
  },
  {
    name: "weekly cohorts",
    sql: `WITH weeks AS (SELECT user_id, CAST((julianday(ts) - julianday('2026-01-01')) / 7 AS INTEGER) AS week, amount FROM data),
      firsts AS (SELECT user_id, MIN(week) AS cohort FROM weeks GROUP BY user_id),
      ages AS (SELECT w.user_id, f.cohort, w.week - f.cohort AS age, w.amount FROM weeks w JOIN firsts f ON f.user_id = w.user_id),
      pivot AS (SELECT user_id, cohort, ${Array.from({ length: 12 }, (_, week) => `SUM(CASE WHEN age = ${week} THEN amount ELSE 0 END) AS w${week}, COUNT(CASE WHEN age = ${week} THEN 1 END) AS n${week}`).join(", ")}
        FROM ages GROUP BY user_id, cohort),
      shares AS (SELECT *, w0 + w1 AS early, w2 + w3 AS late FROM pivot),
      rates AS (SELECT *, ROUND(1.0 * late / NULLIF(early + late, 0), 2) AS retained FROM shares)
      SELECT user_id, cohort, early, n0, retained FROM rates ORDER BY user_id`,
    rows: [
      ["u1", 0, 70, 4, 0],
      ["u2", 0, 13, 2, 0],
    ],
  },
  {
    name: "z-scores of daily sums over windows",
    sql: `WITH daily AS (SELECT user_id, date(ts) AS day, SUM(amount) AS total FROM data GROUP BY user_id, date(ts)),
      stats AS (SELECT *, AVG(total) OVER w AS mean, AVG(total * total) OVER w AS squares, COUNT(*) OVER w AS days
        FROM daily WINDOW w AS (PARTITION BY user_id)),
      deviations AS (SELECT *, sqrt(MAX(0, squares - mean * mean)) AS deviation FROM stats),
      scored AS (SELECT *, CASE WHEN deviation > 0 THEN (total - mean) / deviation ELSE 0 END AS z FROM deviations)
      SELECT user_id, ROUND(MAX(z), 2) AS highest, SUM(CASE WHEN abs(z) >= 2 THEN 1 ELSE 0 END) AS outliers, MAX(days) AS days
      FROM scored WHERE days > 1 GROUP BY user_id ORDER BY user_id`,
    rows: [
      ["u1", 1, 0, 2],
      ["u2", 1, 0, 2],
    ],
  },
  {
    name: "z-scores of daily sums",
    small: true,
    sql: `WITH daily AS (SELECT user_id, date(ts) AS day, SUM(amount) AS total, COUNT(*) AS n FROM data GROUP BY user_id, date(ts)),
      stats AS (SELECT user_id, AVG(total) AS mean, sqrt(MAX(0, AVG(total * total) - AVG(total) * AVG(total))) AS deviation,
        COUNT(*) AS days FROM daily GROUP BY user_id),
      joined AS (SELECT d.*, s.mean, s.deviation, s.days FROM daily d JOIN stats s ON s.user_id = d.user_id),
      scored AS (SELECT *, CASE WHEN deviation > 0 THEN (total - mean) / deviation ELSE 0 END AS z FROM joined),
      marked AS (SELECT *, CASE WHEN abs(z) >= 2 THEN 1 ELSE 0 END AS is_outlier, ROUND(z, 2) AS rounded FROM scored)
      SELECT user_id, MAX(rounded) AS highest, MIN(rounded) AS lowest, SUM(is_outlier) AS outliers, MAX(days) AS days
      FROM marked WHERE days > 1 GROUP BY user_id ORDER BY user_id`,
    rows: [
      ["u1", 1, -1, 0, 2],
      ["u2", 1, -1, 0, 2],
    ],
  },
  {
    name: "ladders of buckets and labels",
    sql: `WITH totals AS (SELECT user_id, SUM(amount) AS total, COUNT(*) AS n, AVG(amount) AS mean FROM data GROUP BY user_id),
      buckets AS (SELECT *, CASE ${Array.from({ length: 15 }, (_, i) => `WHEN total < ${5 * (i + 1)} THEN ${i}`).join(" ")} ELSE 15 END AS bucket FROM totals),
      labels AS (SELECT *, CASE ${Array.from({ length: 15 }, (_, i) => `WHEN bucket = ${i} THEN 'label ${i}'`).join(" ")} ELSE 'beyond' END AS label FROM buckets),
      tiers AS (SELECT *, CASE label WHEN 'beyond' THEN 'top' WHEN 'label 14' THEN 'middle' ELSE 'low' END AS tier FROM labels)
      SELECT user_id, total, bucket, label, tier FROM tiers ORDER BY user_id`,
    rows: [
      ["u1", 70, 14, "label 14", "middle"],
      ["u2", 13, 2, "label 2", "low"],
    ],
  },
  {
    name: "rows above the mean of their user",
    sql: `SELECT d.user_id AS user_id, COUNT(*) AS above FROM data d
      WHERE d.amount > (SELECT AVG(x.amount) FROM data x WHERE x.user_id = d.user_id) GROUP BY d.user_id ORDER BY 1`,
    rows: [
      ["u1", 2],
      ["u2", 1],
    ],
  },
];

export const REALISTIC_TABLE =
  "CREATE TABLE data (user_id TEXT, ts TEXT, amount INTEGER, kind TEXT, hour INTEGER)";
/** u1: two sessions of two events; u2: two of one. */
export const REALISTIC_ROWS = `INSERT INTO data VALUES
  ('u1', '2026-01-01T10:00:00Z', 10, 'view', 10), ('u1', '2026-01-01T10:10:00Z', 20, 'buy', 10),
  ('u1', '2026-01-02T10:00:00Z', 15, 'buy', 34), ('u1', '2026-01-02T10:05:00Z', 25, 'view', 34),
  ('u2', '2026-01-01T11:00:00Z', 5, 'view', 11), ('u2', '2026-01-03T02:00:00Z', 8, 'view', 50)`;
