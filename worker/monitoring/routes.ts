/** `/health` for people and monitors, `/ready` for load balancers. Both need no key. */
import * as z from "zod";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { answeredTimestamp } from "../http/fields.ts";
import { lazily } from "../lazily.ts";
import { formatTimestamp, nowMicros } from "../timestamps.ts";
import { checkHealth } from "./health.ts";
import { metricsEndpoints } from "./metrics-routes.ts";

const checkSchema = lazily(() =>
  z.object({
    ok: z.boolean(),
    needed: z.boolean().meta({ description: "Without it the service is unhealthy." }),
    duration_ms: z.number(),
  }),
);

const healthSchema = lazily(() =>
  z
    .object({
      status: z.enum(["healthy", "unhealthy"]),
      database_connection: z.boolean(),
      tables_available: z.array(z.string()).meta({ example: ["bright_uid", "account_id"] }),
      timestamp: answeredTimestamp,
      checks: z.object({
        d1: checkSchema(),
        kv: checkSchema(),
        schema: checkSchema(),
        api_keys: checkSchema().meta({
          description: "Whether the secret is there with which keys are checked.",
        }),
      }),
    })
    .meta({ id: "Health" }),
);

const health = endpoint(
  {
    method: "get",
    path: "/api/v1/health",
    aliases: ["/health"],
    tag: "monitoring",
    summary: "Health of the service and its parts",
    scope: "public",
    request: {},
    answers: {
      200: { description: "All that is needed is there and answers.", schema: healthSchema },
      503: { description: "A needed part is down; the same form as 200.", schema: healthSchema },
    },
  },
  async (c) => {
    const { healthy, tablesAvailable, checks } = await checkHealth(c);
    const body = {
      status: healthy ? "healthy" : "unhealthy",
      database_connection: checks.d1.ok,
      tables_available: tablesAvailable,
      timestamp: formatTimestamp(nowMicros()),
      checks,
    };
    return jsonAnswer(body, healthy ? 200 : 503);
  },
);

const readySchema = lazily(() => z.object({ ready: z.boolean() }).meta({ id: "Ready" }));

const ready = endpoint(
  {
    method: "get",
    path: "/ready",
    aliases: ["/api/v1/ready"],
    tag: "monitoring",
    summary: "Whether requests can be served",
    scope: "public",
    request: {},
    answers: {
      200: { description: "Requests can be served.", schema: readySchema },
      503: { description: "Not yet, or not now.", schema: readySchema },
    },
  },
  async (c) => {
    const { healthy } = await checkHealth(c);
    return jsonAnswer({ ready: healthy }, healthy ? 200 : 503);
  },
);

export const monitoringEndpoints = [health, ready, ...metricsEndpoints];
