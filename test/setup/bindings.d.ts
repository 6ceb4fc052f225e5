/** Bindings that only the tests have. */
declare namespace Cloudflare {
  interface Env {
    TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
    /** Takes messages and hands them to nobody. */
    QUEUE_WITHOUT_CONSUMER: Queue;
  }
}
