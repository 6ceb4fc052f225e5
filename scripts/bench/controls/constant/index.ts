/**
 * The limit of a read: a Hono app without middleware that answers a constant. On the paths of the service; `PUT
 * /constant` sets the answer, so that it is as long as the service's own to the very same request.
 */
import { type Context, Hono } from "hono";

let constant = "{}";
const headers = { "content-type": "application/json" };

const app = new Hono();
app.put("/constant", async (c) => {
  constant = await c.req.text();
  return c.body(null, 204);
});
const answer = () => new Response(constant, { headers });
app.get("/api/v1/get/item/:entity_value/:category", answer);
// A request with a body: any app reads it, before it can answer.
const answerToBody = async (c: Context) => {
  await c.req.text();
  return answer();
};
app.post("/api/v1/get/items", answerToBody);
app.post("/api/v1/features/online", answerToBody);

export default app;
