/**
 * The limit of a read: a Hono app without middleware that answers a constant. On the paths of the service; `PUT
 * /constant` sets the answer, so that it is as long as the service's own to the very same request.
 */
import { Hono } from "hono";

let constant = "{}";
const headers = { "content-type": "application/json" };

const app = new Hono();
app.put("/constant", async (c) => {
  constant = await c.req.text();
  return c.body(null, 204);
});
const answer = () => new Response(constant, { headers });
app.get("/api/v1/get/item/:entity_value/:category", answer);
app.post("/api/v1/get/items", answer);
app.post("/api/v1/features/online", answer);

export default app;
