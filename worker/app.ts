/** The table of contents: every endpoint. What each request goes through stands in `http/observe.ts` and `http/endpoint.ts`. */
import { Hono } from "hono";
import { columnEndpoints } from "./compute/column-routes.ts";
import { computedFeatureEndpoints } from "./compute/feature-routes.ts";
import { jobEndpoints } from "./compute/job-routes.ts";
import { ingestEndpoints } from "./compute/raw-ingest-routes.ts";
import { rawRowEndpoints } from "./compute/raw-row-routes.ts";
import { rawTableEndpoints } from "./compute/raw-table-routes.ts";
import { vectorEndpoints } from "./compute/vector-routes.ts";
import { docsEndpoints } from "./docs/routes.ts";
import { deliveryEndpoints } from "./events/delivery-routes.ts";
import { subscriptionEndpoints } from "./events/subscription-routes.ts";
import { historyEndpoints } from "./history/routes.ts";
import { trainingSetEndpoints } from "./history/training-set-routes.ts";
import { answerRouted, type Endpoint, mount } from "./http/endpoint.ts";
import { problemOfNoRoute } from "./http/failures.ts";
import { StaticFirstRouter } from "./http/static-first-router.ts";
import { monitoringEndpoints } from "./monitoring/routes.ts";
import { changeEndpoints } from "./registry/change-routes.ts";
import { registryEndpoints } from "./registry/routes.ts";
import { statsEndpoints } from "./registry/stats/routes.ts";
import { versionEndpoints } from "./registry/version-routes.ts";
import { cacheEndpoints } from "./serving/cache-routes.ts";
import { entityEndpoints } from "./serving/entity-routes.ts";
import { onlineEndpoints } from "./serving/online-routes.ts";
import { servingEndpoints } from "./serving/routes.ts";
import { deletionEndpoints } from "./tenants/deletion-routes.ts";
import { keyEndpoints } from "./tenants/key-routes.ts";
import { tenantEndpoints } from "./tenants/routes.ts";
import { spreadEndpoints } from "./tenants/spread-routes.ts";
import { uiEndpoints } from "./ui/routes.ts";
import { writingEndpoints } from "./writing/routes.ts";

/** Everything that is documented. */
export const endpoints: readonly Endpoint[] = [
  ...servingEndpoints,
  ...entityEndpoints,
  ...writingEndpoints,
  ...onlineEndpoints,
  ...cacheEndpoints,
  ...historyEndpoints,
  ...trainingSetEndpoints,
  ...registryEndpoints,
  ...changeEndpoints,
  ...versionEndpoints,
  ...statsEndpoints,
  ...tenantEndpoints,
  ...deletionEndpoints,
  ...spreadEndpoints,
  ...keyEndpoints,
  ...rawTableEndpoints,
  ...rawRowEndpoints,
  ...columnEndpoints,
  ...ingestEndpoints,
  ...computedFeatureEndpoints,
  ...jobEndpoints,
  ...vectorEndpoints,
  ...subscriptionEndpoints,
  ...deliveryEndpoints,
  ...monitoringEndpoints,
  ...uiEndpoints,
];

export const app = new Hono<{ Bindings: Env }>({ router: new StaticFirstRouter() });

for (const each of [...endpoints, ...docsEndpoints(endpoints)]) mount(app, each);
app.notFound((unrouted) =>
  answerRouted(unrouted, null, async () => {
    throw problemOfNoRoute(app, unrouted.req.path);
  }),
);
