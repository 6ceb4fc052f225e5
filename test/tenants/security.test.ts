/** Made from the app's own routes: what holds of one endpoint holds of all, those of tomorrow too. */
import { beforeAll, describe, expect, test } from "vitest";
import { app, endpoints } from "../../worker/app.ts";
import { docsEndpoints } from "../../worker/docs/routes.ts";
import { type Endpoint, honoPath } from "../../worker/http/endpoint.ts";
import { formatApiKey, newApiKey, SCOPES, type Scope } from "../../worker/tenants/api-key.ts";
import { nowMicros } from "../../worker/timestamps.ts";
import { type Sample, samples } from "./samples.ts";
import { ask, ofAnotherSecret, PEPPER, storedKey, storedTenant } from "./service.ts";

/** What needs no key, and why that is right: it tells nothing of any tenant. */
const PUBLIC = [
  "GET /api/v1/health",
  "GET /health",
  "GET /api/v1/ready",
  "GET /ready",
  "GET /openapi.json",
  "GET /",
  "GET /ui",
  "GET /ui/{file}",
  "GET /docs",
  "GET /docs/{file}",
  "GET /redoc",
];

const linesOf = ({ spec }: Endpoint) =>
  [spec.path, ...(spec.aliases ?? [])].map((path) => `${spec.method.toUpperCase()} ${path}`);

const everything = [...endpoints, ...docsEndpoints(endpoints)];
const guarded = everything.flatMap((each) => {
  const { scope } = each.spec;
  return scope === "public" ? [] : linesOf(each).map((line) => ({ line, scope }));
});

test("no route stands beside the endpoints, where no scope would guard it", () => {
  const mounted = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path}`);
  const known = everything.flatMap(linesOf).map(honoPath);
  expect([...new Set(mounted)].sort()).toEqual([...new Set(known)].sort());
});

test("only what is listed here needs no key", () => {
  const open = everything.filter(({ spec }) => spec.scope === "public").flatMap(linesOf);
  expect(open.sort()).toEqual([...PUBLIC].sort());
});

test("every sample is of an endpoint that exists", () => {
  const lines = guarded.map(({ line }) => line);
  expect(Object.keys(samples).filter((line) => !lines.includes(line))).toEqual([]);
});

function sampleOf(line: string): Sample {
  const sample = samples[line];
  if (sample) return sample;
  throw new Error(
    `"${line}" has no sample request: add one to test/tenants/samples.ts, so that it is tested here`,
  );
}

const owners: Record<string, string> = {};
let refused: Record<string, string | undefined> = {};
let stranger = "";

beforeAll(async () => {
  await Promise.all(["acme", "other"].map(storedTenant));
  for (const tenant of ["acme", "default"]) owners[tenant] = (await storedKey(tenant, [...SCOPES])).key;
  stranger = (await storedKey("other", [...SCOPES])).key;
  const right = owners.acme ?? "";
  refused = {
    none: undefined,
    empty: "",
    "not a key": "tenant1_key",
    "made up": formatApiKey(newApiKey("a pepper of somebody else, long enough")),
    unknown: formatApiKey(newApiKey(PEPPER)),
    changed: right.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
    "of a wrong secret": await ofAnotherSecret("acme"),
    expired: (await storedKey("acme", [...SCOPES], { expiresAt: nowMicros() - 1 })).key,
    revoked: (await storedKey("acme", [...SCOPES], { revokedAt: nowMicros() - 1 })).key,
  };
});

let count = 0;
/** The sample's request with what it is about, made by its owner. */
async function prepared(line: string) {
  const sample = sampleOf(line);
  const owner = owners[sample.owner ?? "acme"];
  const id = `case${++count}`;
  const request = await sample.request((asked, body) => ask(asked, { key: owner, body }), id);
  return { ...request, sample, owner, id };
}

describe.each(guarded)("$line", ({ line, scope }) => {
  test("is refused with 401 without a valid key, in the same words for all that are not", async () => {
    const request = await prepared(line);
    const details = new Set<string>();
    for (const [kind, key] of Object.entries(refused)) {
      const answer = await ask(request.line, { key, body: request.body });
      expect([kind, answer.status]).toEqual([kind, 401]);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
      if (key !== undefined) details.add(answer.json.detail);
    }
    expect(details.size).toBe(1);
  });

  test(`is refused with 403 to a key that has every scope but ${scope}`, async () => {
    const request = await prepared(line);
    const others = SCOPES.filter((each): each is Scope => each !== scope);
    const { key } = await storedKey(request.sample.owner ?? "acme", others);
    const { status, json } = await ask(request.line, { key, body: request.body });
    expect(status).toBe(403);
    expect(json.detail).toContain(`\`${scope}\``);
    // No scope contains another, which is easily taken for granted of `admin`.
    for (const other of others) expect(json.detail).toContain(`\`${other}\``);
  });

  test("neither shows nor changes what is another tenant's", async () => {
    const request = await prepared(line);
    const others = await ask(request.line, { key: stranger, body: request.body });
    if (request.sample.toAnother === "not found")
      expect([others.status, others.text]).toEqual([404, expect.anything()]);
    if (request.sample.toAnother === "forbidden")
      expect([others.status, others.text]).toEqual([403, expect.anything()]);
    expect(others.status, others.text).toBeLessThan(500);
    expect(others.text).not.toContain(`secret-${request.id}`);
    const { seenBy } = request;
    if (seenBy) expect((await ask(seenBy, { key: request.owner })).text).toContain(`secret-${request.id}`);
    // The owner's is still there, as it was; and the sample is a request that succeeds.
    const own = await ask(request.line, { key: request.owner, body: request.body });
    expect([own.status, own.text]).toEqual([
      expect.toSatisfy((status: number) => status < 300),
      expect.anything(),
    ]);
  });
});
