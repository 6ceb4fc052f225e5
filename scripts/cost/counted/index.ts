/** The service as it is, with counters around everything that the platform bills: what `npm run cost` runs. */
import service, * as classes from "../../../worker/index.ts";
import { countedEnv } from "./bindings.ts";
import { add, noteDelivered, takeCounts, tracked } from "./counters.ts";
import { countedClass } from "./objects.ts";

export const EntityWriter = countedClass(classes.EntityWriter);
export const RawTable = countedClass(classes.RawTable);
export const Subscriber = countedClass(classes.Subscriber);
export const MetricsTotals = countedClass(classes.MetricsTotals, "metrics");
export const FeatureStats = countedClass(classes.FeatureStats);

for (const name of ["debug", "info", "log", "warn", "error"] as const) {
  console[name] = () => add("logEvents");
}

// The service remembers its settings by the environment that it was given: there must be one of each kind.
let withoutMemory: Env | undefined;

function envOf(env: Env, headers: Headers): Env {
  const own = countedEnv(env);
  if (!headers.has("x-without-memory")) return own;
  withoutMemory ??= { ...own, MEMORY_TTL_MS: "0" };
  return withoutMemory;
}

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === "/__counters") return Response.json(takeCounts());
    add("workerRequests");
    // The platform writes a line about each invocation.
    add("logEvents");
    return tracked(() => service.fetch(request, envOf(env, request.headers), ctx));
  },
  async queue(batch, env, ctx) {
    add("consumerBatches");
    add("logEvents");
    await tracked(() => service.queue(batch, countedEnv(env), ctx));
    noteDelivered(batch.messages.length);
  },
} satisfies ExportedHandler<Env>;
