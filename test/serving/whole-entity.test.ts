/** `GET /entities/{type}/{value}`: all that is known of an entity. */
import { describe, expect, test } from "vitest";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { entry, expectProblem, get, remove, secondsAgo, upsert } from "../setup/http.ts";
import { until } from "../setup/waiting.ts";
import { register } from "./online-asks.ts";

interface Whole {
  items: Record<string, { features: { data: Record<string, unknown> } }>;
  unavailable_feature_categories: string[];
  revision: number;
  source: string;
}

const whole = (path: string) => get<Whole>(`/entities/${path}`);

const dataOf = ({ items }: Whole) =>
  Object.fromEntries(Object.entries(items).map(([name, { features }]) => [name, features.data]));

describe("an entity that is read whole", () => {
  test("has all of its categories, whatever they are called", async () => {
    await upsert("whole/1", [entry("b", { x: 1 }), entry("__proto__", { "a:b": null })]);
    await upsert("whole/1", [entry("a", {})]);
    const { status, body } = await whole("bright_uid/whole%2F1");
    expect(status).toBe(200);
    expect(dataOf(body)).toEqual(
      Object.fromEntries([
        ["b", { x: 1 }],
        ["__proto__", { "a:b": null }],
        ["a", {}],
      ]),
    );
    expect(body.revision).toBe(2);
  });

  test("has them by name, from every tier", async () => {
    await upsert("ordered", [entry("b", { n: 1 }), entry("c", { n: 1 }), entry("a", { n: 1 })]);
    const sources = new Set<string>();
    await until("it came from the cache too", async () => {
      const { body } = await whole("bright_uid/ordered");
      expect(Object.keys(body.items)).toEqual(["a", "b", "c"]);
      isolateMemory.clear();
      return sources.add(body.source).size > 1;
    });
  });

  test("is that of the type named", async () => {
    await upsert("both", [entry("c", { of: "uid" })]);
    await upsert("both", [entry("c", { of: "account" })], { data: { entity_type: "account_id" } });
    expect(dataOf((await whole("account_id/both")).body)).toEqual({ c: { of: "account" } });
  });

  test("names the categories whose TTL is over, the registered one too, and shows nothing of them", async () => {
    await register("whole_brief", { entity_type: "bright_uid", category: "registered", ttl_seconds: 60 });
    const old = { event_timestamp: secondsAgo(120) };
    await upsert("aged", [
      entry("kept", { a: 1 }),
      entry("over", { a: 1 }, { ...old, ttl_seconds: 60 }),
      entry("registered", { whole_brief: 1 }, old),
    ]);
    const { body } = await whole("bright_uid/aged");
    expect(dataOf(body)).toEqual({ kept: { a: 1 } });
    expect(body.unavailable_feature_categories.sort()).toEqual(["over", "registered"]);
  });

  test("is 404 when nothing was written, and when all is deleted; 422 for a type that is none", async () => {
    expectProblem(await whole("bright_uid/nobody"), 404);
    await upsert("leaves", [entry("c", { a: 1 })]);
    expect((await whole("bright_uid/leaves")).status).toBe(200);
    await remove("/entities/bright_uid/leaves");
    expectProblem(await whole("bright_uid/leaves"), 404);
    expectProblem(await whole("martian/leaves"), 422);
  });
});
