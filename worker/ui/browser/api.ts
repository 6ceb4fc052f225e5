/** What the pages ask of the API, as its documents describe it: only what they show. */
import { parseJson } from "../../json.ts";
import type { Numeric } from "./format.ts";

export interface Version {
  feature_version_id: number;
  version: number;
  dtype: string;
  status: "draft" | "active" | "deprecated";
  ttl_seconds: number | null;
  default_value: unknown;
  computation: { computed_at: string | null; failed_at: string | null; last_error: string | null } | null;
  created_at: string;
}

export interface Feature {
  feature_id: number;
  name: string;
  entity_type: string;
  category: string;
  kind: "scalar" | "computed";
  raw_table_id: number | null;
  materialize: "manual" | "on_ingest" | null;
  computation_logic: string | null;
  description: string | null;
  owner: string | null;
  tags: string[];
  /** The version that the bare name means; null when none is active. */
  version: number | null;
  dtype: string | null;
  versions: Version[];
  created_at: string;
  updated_at: string;
}

export interface Numbers {
  values: number;
  nulls: number;
  null_rate: number | null;
  min: Numeric | null;
  mean: Numeric | null;
  max: Numeric | null;
}

export interface Stats {
  version: number;
  last_write: string | null;
  freshness_seconds: number | null;
  totals: Numbers;
  columns?: Record<string, Numbers>;
  hours: ({ hour: string } & Numbers)[];
  timestamp: string;
}

interface OnlineValue {
  value: unknown;
  status: "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE";
  timestamp: string | null;
  freshness_seconds: number | null;
  version: number | null;
}

export interface Online {
  features: Record<string, OnlineValue>;
  revision: number | null;
  source: string;
}

export interface Items {
  items: Record<
    string,
    {
      features: {
        data: Record<string, unknown>;
        metadata: { created_at: string; updated_at: string; compute_id: string | null };
      };
    }
  >;
  unavailable_feature_categories: string[];
  unavailable_features: Record<string, string[]>;
  revision: number;
  source: string;
}

interface RawTable {
  id: number;
  name: string;
  description: string | null;
  schema_definition: Record<string, string>;
  timestamp_column: string | null;
  retention_days: number | null;
  created_at: string;
}

/** An answer of the API that is not a success, in its own words. */
export class Refusal extends Error {
  readonly status: number;

  /** @param status 0: there was no answer. */
  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

// Gone with the tab. The page loads nothing that is not ours, so nobody else's code can read it.
const KEY = "feature-store-api-key";
export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (key: string) => (key === "" ? sessionStorage.removeItem(KEY) : sessionStorage.setItem(KEY, key)),
};

/** What a header may have: `fetch` sends no request with anything else in it. */
const PLAIN_KEY = /^[\x21-\x7e]*$/;

/**
 * @param path Under `/api/v1`.
 * @throws Refusal for anything but a success.
 */
async function call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  const key = apiKey.get();
  if (!PLAIN_KEY.test(key)) throw new Refusal(401, "what was pasted is no API key");
  const request: RequestInit = {
    method,
    headers: {
      ...(key !== "" && { "x-api-key": key }),
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(`/api/v1${path}`, request);
    // An int64 keeps its digits here too.
    answer = parseJson(await response.text());
  } catch {
    throw new Refusal(0, "The service does not answer.");
  }
  if (response.ok) return answer as T;
  const { detail, title } = answer as { detail?: string; title?: string };
  throw new Refusal(response.status, detail ?? title ?? `The service answered ${response.status}.`);
}

const segment = encodeURIComponent;

export interface FeatureFilter {
  q: string;
  entity_type: string;
  tag: string;
}

export const api = {
  features(filter: FeatureFilter, cursor: string | null) {
    const given = Object.entries({ ...filter, cursor: cursor ?? "" }).filter(([, value]) => value !== "");
    const query = new URLSearchParams({ ...Object.fromEntries(given), limit: "50" });
    return call<{ features: Feature[]; next_cursor: string | null }>("GET", `/features?${query}`);
  },
  feature: (name: string) => call<Feature>("GET", `/features/${segment(name)}`),
  stats: (name: string, version: number) =>
    call<Stats>("GET", `/features/${segment(name)}/stats?version=${version}`),
  online: (entityType: string, entity: string, reference: string) =>
    call<Online>("POST", "/features/online", {
      entity_type: entityType,
      entity_id: entity,
      feature_names: [reference],
    }),
  /** @param references Empty: all that is known of it. */
  items: (entityType: string, entity: string, references: string[]) =>
    references.length === 0
      ? call<Items>("GET", `/entities/${segment(entityType)}/${segment(entity)}`)
      : call<Items>("POST", "/get/items", {
          data: { entity_type: entityType, entity_value: entity, feature_list: references },
        }),
  rawTables: () => call<{ raw_tables: RawTable[] }>("GET", "/raw-tables"),
};
