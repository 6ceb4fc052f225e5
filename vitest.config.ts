import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/setup/longest-first.ts";
import { useMemoryForTemporaryFiles } from "./test/setup/temporary-directory.ts";

/** Milliseconds. How long a machine may take is not what these tests are about. */
const FOR_HANGS_ALONE = { testTimeout: 120_000, hookTimeout: 120_000 };

const IN_RUNTIME = {
  ...FOR_HANGS_ALONE,
  maxWorkers: 3,
  // To start a runtime takes four seconds: one a worker, emptied after each file.
  isolate: false,
  sequence: { groupOrder: 0 },
  setupFiles: ["./test/setup/empty-database.ts"],
};

/** @param moreDatabases D1 databases by their bindings, beside that of wrangler.toml. */
const inRuntime = (moreDatabases: Record<string, string>) =>
  cloudflareTest(async () => ({
    wrangler: { configPath: "./wrangler.toml" },
    miniflare: {
      d1Databases: moreDatabases,
      // Writers as in production. Metrics are sent two seconds after an answer; only their own tests wait for that.
      bindings: {
        LOG_LEVEL: "ERROR",
        METRICS: "off",
        WRITER_PARTITIONS: "4",
        TEST_MIGRATIONS: await readD1Migrations("migrations"),
      },
      // No test leaves the machine, and none waits for a resolver: whoever is asked cannot be reached.
      outboundService: () => {
        throw new TypeError("the network is not part of these tests");
      },
      // For tests that send more than any consumer could take.
      queueProducers: { QUEUE_WITHOUT_CONSUMER: { queueName: "without-consumer" } },
      queueConsumers: {
        "feature-compute": {
          maxBatchSize: 10,
          maxBatchTimeout: 0.05,
          maxRetries: 2,
          retryDelay: 0,
          deadLetterQueue: "feature-compute-dlq",
        },
        "feature-availability": {
          maxBatchSize: 5,
          maxBatchTimeout: 0.05,
          maxRetries: 2,
          retryDelay: 0,
          deadLetterQueue: "feature-availability-dlq",
        },
      },
    },
  }));

const WITH_SEVERAL_DATABASES = [
  "test/several-databases/**/*.test.ts",
  "test/faults/faults.test.ts",
  "test/faults/pipeline/pipeline.test.ts",
];
/** Those of the service, and what stands for replicas of each, which the local runtime does not have. */
const SEVERAL_DATABASES = {
  DB_1: "feature-store-1",
  DB_2: "feature-store-2",
  REPLICA: "replica",
  REPLICA_1: "replica-1",
  REPLICA_2: "replica-2",
};

const CRASH_RUN = "test/process/crash.test.ts";
const OF_THE_SERVICE = { ...FOR_HANGS_ALONE, globalSetup: ["./test/setup/build-once.ts"] };

useMemoryForTemporaryFiles();

/**
 * Three kinds of tests. `*.pure.test.ts`: decisions, in plain Node. `test/process`: the real service, started as a
 * user starts it. All others: on the real bindings, inside the runtime; `test/several-databases` and the fault schedules with
 * more of them.
 */
export default defineConfig({
  test: {
    // Of vitest's own taking down of a file that an alarm or a queue batch has just entered; no test is part of it.
    onUnhandledError: (error) => !error.message?.includes('Closing rpc while "resolve" was pending'),
    reporters: ["default", "./test/setup/closing-line.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "pure",
          ...FOR_HANGS_ALONE,
          include: ["test/**/*.pure.test.ts"],
          maxWorkers: 3,
          // A process each would take as long as what they test.
          isolate: false,
          sequence: { groupOrder: 0 },
        },
      },
      {
        plugins: [inRuntime({})],
        test: {
          name: "runtime",
          ...IN_RUNTIME,
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.pure.test.ts", "test/process/**", ...WITH_SEVERAL_DATABASES],
        },
      },
      {
        plugins: [inRuntime(SEVERAL_DATABASES)],
        test: {
          name: "several databases",
          ...IN_RUNTIME,
          include: WITH_SEVERAL_DATABASES,
        },
      },
      {
        test: {
          ...OF_THE_SERVICE,
          name: "process",
          // After all others: real services that get no processor would be late.
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
          include: ["test/process/**/*.test.ts"],
          exclude: [CRASH_RUN],
        },
      },
      {
        test: {
          ...OF_THE_SERVICE,
          name: "crash",
          // Alone: its tenant is moved, which a busy machine puts off by half a minute each time.
          sequence: { groupOrder: 2 },
          include: [CRASH_RUN],
        },
      },
    ],
  },
});
