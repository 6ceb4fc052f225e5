/** Bindings that only the tests have. */
declare namespace Cloudflare {
  interface Env {
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Takes messages and hands them to nobody. */
    QUEUE_WITHOUT_CONSUMER: Queue;
    /** Where tests run with several databases: the databases beside `DB`, and replicas of all. */
    DB_1?: D1Database;
    DB_2?: D1Database;
    REPLICA?: D1Database;
    REPLICA_1?: D1Database;
    REPLICA_2?: D1Database;
  }
}
