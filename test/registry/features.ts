/** Registering features and reading them, as the tests of the registry do. */
import { expect } from "vitest";
import { ask, entry, post, remove, upsert } from "../setup/http.ts";

export interface Registered {
  feature_id: number;
  name: string;
  version: number;
  status: string;
  created_at: string;
}

export interface Version {
  feature_version_id: number;
  version: number;
  dtype: string;
  ttl_hours: number | null;
  ttl_seconds: number | null;
  default_value: unknown;
  description: string | null;
  owner: string | null;
  tags: string[];
  status: string;
}

export interface Feature {
  feature_id: number;
  name: string;
  description: string | null;
  owner: string | null;
  tags: string[];
  version: number | null;
  dtype: string | null;
  versions: Version[];
  updated_at: string;
}

export interface Page {
  features: Feature[];
  next_cursor: string | null;
}

export interface Online {
  features: Record<string, { value: unknown; status: string; version: number | null }>;
}

let made = 0;
/** A name that no other test of the file has used. */
export const freshName = (stem: string) => `${stem}_${++made}`;

const definition = (name: string, over: Record<string, unknown> = {}) => ({
  name,
  version: 1,
  dtype: "float64",
  entity_type: "user",
  ...over,
});

export const register = (
  name: string,
  over: Record<string, unknown> = {},
  headers: Record<string, string> = {},
) => post<Registered>("/features/register", definition(name, over), headers);

export async function registered(name: string, over: Record<string, unknown> = {}): Promise<Registered> {
  const { status, body, text } = await register(name, over);
  expect(status, text).toBe(201);
  return body;
}

export const addVersion = (nameOrId: string | number, version: Record<string, unknown>) =>
  post<Version>(`/features/${nameOrId}/versions`, version);

export const setStatus = (name: string, version: string | number, status: string) =>
  ask<Version>("PATCH", `/features/${name}/versions/${version}`, { body: { status } });

export const patch = (reference: string | number, body: unknown) =>
  ask<Feature>("PATCH", `/features/${reference}`, { body });

export interface Removed {
  feature_id: number;
  name: string;
  entity_type: string;
  category: string;
  versions: number[];
  status: string;
}

export const removeFeature = (nameOrId: string | number, query = "") =>
  remove<Removed>(`/features/${nameOrId}${query}`);

export const write = (user: string, features: unknown, over: Record<string, unknown> = {}) =>
  upsert(user, [entry("default", features, { mode: "merge", ...over })], { data: { entity_type: "user" } });

export const online = (user: string, names: string[], over: Record<string, unknown> = {}) =>
  post<Online>("/features/online", { entity_id: user, feature_names: names, ...over });

/** `value status version` of each. */
export async function onlineValues(user: string, names: string[]): Promise<string[]> {
  const { features } = (await online(user, names)).body;
  return names.map((name) => {
    const { value, status, version } = features[name] ?? {};
    return `${JSON.stringify(value)} ${status} ${version}`;
  });
}
