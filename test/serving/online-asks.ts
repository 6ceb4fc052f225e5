/** Asking for online features, as the tests of the route do. */
import { expect } from "vitest";
import { post, upsert } from "../setup/http.ts";

interface Value {
  value: unknown;
  status: string;
  timestamp: string | null;
  freshness_seconds: number | null;
  version: number | null;
}

export interface Online {
  entity_id: string;
  features: Record<string, Value>;
  revision: number;
  source: string;
  cache_hit: boolean;
  timestamp: string;
}

export interface Many {
  results: Online[];
  timestamp: string;
}

export const online = <T = Online>(asked: Record<string, unknown>, headers: Record<string, string> = {}) =>
  post<T>("/features/online", asked, headers);

/** `value status version` of each name, of one entity. */
export async function valuesOf(
  id: string,
  names: string[],
  over: Record<string, unknown> = {},
): Promise<string[]> {
  const { body, text } = await online({ entity_id: id, feature_names: names, entity_type: "user", ...over });
  expect(Object.keys(body.features ?? {}), text).toEqual([...new Set(names)]);
  return names.map((name) => {
    const { value, status, version } = body.features[name] ?? {};
    return `${JSON.stringify(value)} ${status} ${version}`;
  });
}

export const write = (id: string, list: unknown[], over: Record<string, unknown> = {}) =>
  upsert(id, list, { data: { entity_type: "user", ...over } });

export async function register(name: string, over: Record<string, unknown> = {}): Promise<void> {
  const definition = { name, version: 1, dtype: "float64", entity_type: "user", ...over };
  const { status, text } = await post("/features/register", definition);
  expect(status, text).toBe(201);
}
