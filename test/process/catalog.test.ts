/** The page `/ui`, in a browser without a window, on the real service. */
import { Browser, type BrowserPage } from "happy-dom";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, endServices, newDirectory, type Service, startService, waitUntil } from "../setup/service.ts";

const HARMLESS = "<img src=x onerror=alert(1)>";

let service: Service;
let browser: Browser;
let page: BrowserPage;

beforeAll(async () => {
  service = await startService({ command: "serve", state: newDirectory() });
  const register = (body: object) => ask(service, "POST /api/v1/features/register", { body });
  const score = { name: "risk_score", entity_type: "bright_uid", category: "risk", dtype: "int64" };
  await register({ ...score, version: 1, description: HARMLESS, tags: ["risk"], owner: "fraud team" });
  await register({ ...score, version: 2, dtype: "string" });
  await register({ name: "city", version: 1, dtype: "string", entity_type: "account_id", category: "home" });
  // Digits that a double does not hold are sent as text, and answered as a number.
  const features = { risk_score: "9007199254740993", note: HARMLESS };
  const written = await ask(service, "POST /api/v1/items/user-1?entity_type=bright_uid", {
    body: { risk: features },
  });
  expect(written.status).toBe(200);
  await ask(service, "POST /api/v1/raw-tables", {
    body: { name: "payments", schema_definition: { user_id: "string", amount: "float" } },
  });
  browser = new Browser({
    settings: { enableJavaScriptEvaluation: true, suppressInsecureJavaScriptEnvironmentWarning: true },
  });
  page = browser.newPage();
});
afterAll(async () => {
  await browser?.close();
  await endServices();
});

/** Statistics come with the event of the write, a moment later. */
function counted(): Promise<void> {
  const isCounted = async () => {
    const stats = await ask<{ totals: { values: number } }>(service, "GET /api/v1/features/risk_score/stats");
    return stats.body.totals.values === 1;
  };
  return waitUntil(isCounted, { timeoutMs: 20_000, what: () => "the write is not counted" });
}

const text = () => page.mainFrame.document.body.textContent;

async function open(place: string): Promise<void> {
  await page.goto(`${service.url}/ui`);
  page.mainFrame.window.location.hash = place;
}

async function shows(...parts: string[]): Promise<void> {
  await waitUntil(() => parts.every((part) => text().includes(part)), {
    timeoutMs: 20_000,
    what: () => `the page does not show ${parts.join(", ")}, but:\n${text()}`,
  });
}

function type(selector: string, value: string): void {
  const { document, window } = page.mainFrame;
  const field = document.querySelector(selector) as unknown as {
    value: string;
    dispatchEvent(event: unknown): void;
  };
  field.value = value;
  field.dispatchEvent(new window.Event("input", { bubbles: true }));
}

async function submit(selector: string): Promise<void> {
  const { document, window } = page.mainFrame;
  // What was typed is drawn first: the form sends what its page knows.
  await page.waitUntilComplete();
  document
    .querySelector(selector)
    ?.dispatchEvent(new window.Event("submit", { bubbles: true, cancelable: true }));
}

test("the catalog has every feature, and finds some by name, entity type and tag", async () => {
  await open("#/");
  await shows("risk_score", "city", "account_id", "int64");
  type("input[placeholder='Tag']", "risk");
  await waitUntil(() => !text().includes("account_id"), { timeoutMs: 20_000, what: text });
  await shows("risk_score");
  type("input[placeholder='Tag']", "nothing");
  await shows("No feature fits.");
});

test("a feature has its versions, its statistics, its value with every digit, and a command to read it", async () => {
  await counted();
  await open("#/features/risk_score");
  await shows("risk_score", "fraud team", "draft", "active", "The last 24 hours of version 1");
  await shows("Values1", "Most9,007,199,254,740,992", "Newest event");
  type("form.filters input", "user-1");
  await submit("form.filters");
  await shows("9007199254740993", "PRESENT", "revision 1 of the entity");
  expect(text()).toContain(`curl -X POST "${service.url}/api/v1/features/online"`);
});

test("what tenants call their things is text, never a part of the page", async () => {
  await open("#/features/risk_score");
  await shows(HARMLESS);
  await open("#/entities");
  await waitUntil(() => page.mainFrame.document.querySelector("form.filters label") !== null, {
    timeoutMs: 20_000,
    what: text,
  });
  type("form.filters label:nth-child(2) input", "user-1");
  type("form.filters label:nth-child(3) input", "risk:*, home:*");
  await submit("form.filters");
  await shows("risk_score", "9007199254740993", "Not there: home:*", HARMLESS);
  expect(page.mainFrame.document.querySelector("main img")).toBeNull();
});

test("an entity is shown with all that is known of it, and has an address", async () => {
  await open("#/entities");
  await waitUntil(() => page.mainFrame.document.querySelector("form.filters label") !== null, {
    timeoutMs: 20_000,
    what: text,
  });
  type("form.filters label:nth-child(2) input", "user-1");
  await submit("form.filters");
  await shows("Revision 1", "risk_score", "note");
  expect(page.mainFrame.window.location.hash).toBe("#/entities/bright_uid/user-1");
  await open("#/entities/bright_uid/user-1/risk%3Anote");
  await shows("Revision 1", "note");
  expect(text()).not.toContain("risk_score");
});

test("raw tables have their columns", async () => {
  await open("#/raw-tables");
  await shows("payments", "user_id string", "amount float");
});

test("a key that is not valid is told, and another one tried", async () => {
  await open("#/");
  await shows("risk_score");
  type("form.key input", "fs_nobody_nothing");
  await submit("form.key");
  await shows("not valid. Paste one above");
  type("form.key input", "fs_a67a…");
  await submit("form.key");
  await shows("what was pasted is no API key. Paste one above");
  type("form.key input", "");
  await submit("form.key");
  await shows("risk_score");
});

test("what is not registered is said", async () => {
  await open("#/features/nobody_knows");
  await shows("there is no such feature");
});

test("nothing runs in the page but its own script", async () => {
  const { headers, body } = await ask<string>(service, "GET /ui");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self';");
  expect(body).not.toMatch(/<script(?![^>]*src=)/);
  const script = await ask<string>(service, "GET /ui/app.js");
  expect(script.headers.get("content-type")).toMatch(/javascript/);
  expect((await ask(service, "GET /ui/nothing.js")).status).toBe(404);
});
