/** The tables of a Subscriber's SQLite. Append only: an object runs the steps that it has not run yet, in order. */
export const MIGRATIONS = [
  // One row for each event that came. `entity` is an entity's key, `event` its JSON.
  `CREATE TABLE deliveries (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, entity TEXT NOT NULL, revision INTEGER NOT NULL,
     status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, last_status INTEGER, last_error TEXT,
     created_at INTEGER NOT NULL, delivered_at INTEGER, bytes INTEGER NOT NULL, event TEXT NOT NULL);
   CREATE INDEX deliveries_pending ON deliveries (entity, revision, seq) WHERE status = 'pending';
   CREATE INDEX deliveries_status ON deliveries (status, seq);
   CREATE TABLE totals (status TEXT PRIMARY KEY, deliveries INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
   INSERT INTO totals VALUES ('pending', 0, 0), ('delivered', 0, 0), ('dead', 0, 0);
   CREATE TRIGGER deliveries_inserted AFTER INSERT ON deliveries BEGIN
     UPDATE totals SET deliveries = deliveries + 1, bytes = bytes + new.bytes WHERE status = new.status;
   END;
   CREATE TRIGGER deliveries_moved AFTER UPDATE OF status ON deliveries WHEN old.status <> new.status BEGIN
     UPDATE totals SET deliveries = deliveries - 1, bytes = bytes - old.bytes WHERE status = old.status;
     UPDATE totals SET deliveries = deliveries + 1, bytes = bytes + new.bytes WHERE status = new.status;
   END;
   CREATE TRIGGER deliveries_deleted AFTER DELETE ON deliveries BEGIN
     UPDATE totals SET deliveries = deliveries - 1, bytes = bytes - old.bytes WHERE status = old.status;
   END;`,
  // One row for each entity with pending deliveries, and when the first of them may be tried.
  `CREATE TABLE heads (entity TEXT PRIMARY KEY, due_at INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX heads_due ON heads (due_at);`,
  // Events that have come, by which a repetition is known after its delivery is forgotten.
  `CREATE TABLE seen (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL);`,
  // JSON under a name: the subscription as last heard of, the replay under way, what did not fit.
  `CREATE TABLE notes (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;`,
];
