/** The requests of clients, and what their answers say. */
import type { Answer } from "../setup/service.ts";
import type { Action, Outcome, Shown } from "./history.ts";
import type { Change } from "./model.ts";

export interface EntityRef {
  type: "bright_uid" | "account_id";
  value: string;
}

/** What a request does to, or wants of, one entity. */
export interface Entry {
  id: string;
  entity: EntityRef;
  action: Action;
}

export interface Request {
  /** Method and path. */
  asked: string;
  body?: unknown;
  headers: Record<string, string>;
  entries: readonly Entry[];
  /** One outcome for each entry; null: it is an answer that no client should get. */
  read(answer: Answer<never>): Outcome[] | null;
}

export const TOKEN_HEADER = "x-consistency-token";
const METADATA = { source: "prediction_service" };

/** When a request that was not taken now may be sent again; null: it was, or it is not said. */
export function retryAfterMs({ status, headers }: Answer<unknown>): number | null {
  const seconds = headers.get("retry-after");
  return status === 503 && seconds !== null ? Number(seconds) * 1_000 : null;
}

interface Written {
  outcome: string;
  revision: number;
  categories_updated: string[];
}

export function writeRequest(entry: Entry): Request {
  return {
    asked: "POST /api/v1/items",
    body: { metadata: METADATA, data: entityBody(entry) },
    headers: {},
    entries: [entry],
    read: ({ status, body }: Answer<unknown>) =>
      status === 409 ? [{ kind: "refused" }] : ifOk(status, () => [writtenOf(body as Written)]),
  };
}

export function batchRequest(entries: readonly Entry[]): Request {
  return {
    asked: "POST /api/v1/items/batch",
    body: { metadata: METADATA, data: entries.map(entityBody) },
    headers: {},
    entries,
    read: ({ status, body }: Answer<unknown>) =>
      ifOk(status, () => {
        const { results } = body as { results: Written[] };
        return results.length === entries.length ? results.map(writtenOf) : null;
      }),
  };
}

/** The short form of `001`: each category is replaced, now, and there is no place for a `compute_id`. */
export function shortRequest(entry: Entry): Request {
  const parts = partsOf(entry).map((part) => ({ ...part, mode: "replace", time: "now" }) as const);
  const change: Change = { kind: "write", id: null, parts };
  return {
    asked: `POST /api/v1/items/${entry.entity.value}?table_type=${entry.entity.type}`,
    body: Object.fromEntries(parts.map(({ category, features }) => [category, features])),
    headers: {},
    entries: [{ ...entry, action: { kind: "change", change, ifRevision: null } }],
    read: ({ status, body }: Answer<unknown>) => ifOk(status, () => [writtenOf(body as Written)]),
  };
}

export function deleteRequest(entry: Entry, category: string | null): Request {
  const { type, value } = entry.entity;
  return {
    asked: `DELETE /api/v1/entities/${[type, value, ...(category === null ? [] : [category])].join("/")}`,
    headers: {},
    entries: [entry],
    read: ({ status, body }: Answer<unknown>) => {
      if (status === 404) return [{ kind: "unchanged", revision: null }];
      const { revision, categories_removed: categories } = body as {
        revision: number;
        categories_removed: string[];
      };
      return ifOk(status, () => [{ kind: "applied", revision, categories }]);
    },
  };
}

/** Several categories at once. */
export function readRequest(entry: Entry & { action: { kind: "read" } }, token: string | null): Request {
  interface Items {
    items: Record<string, { features: { data: Shown["data"]; metadata: Meta } }>;
    revision: number;
  }
  const { type, value } = entry.entity;
  const { categories, consistency } = entry.action;
  const feature_list = categories.map((category) => `${category}:*`);
  return {
    asked: "POST /api/v1/get/items",
    body: {
      meta: { source: "api" },
      data: { entity_type: type, entity_value: value, feature_list, consistency },
    },
    headers: token === null ? {} : { [TOKEN_HEADER]: token },
    entries: [entry],
    read: ({ status, body }: Answer<unknown>) => {
      if (status === 404) return [{ kind: "nothing" }];
      return ifOk(status, () => {
        const { items, revision } = body as Items;
        const present = Object.entries(items).map(
          ([name, { features }]) => [name, shownOf(features.data, features.metadata)] as const,
        );
        return [{ kind: "seen", revision, present: Object.fromEntries(present) }];
      });
    },
  };
}

/** One category, from wherever it is nearest. */
export function readCategoryRequest(entry: Entry, category: string): Request {
  interface Item {
    features: { data: Shown["data"]; meta: Meta };
    revision: number;
  }
  return {
    asked: `GET /api/v1/get/item/${entry.entity.value}/${category}?entity_type=${entry.entity.type}`,
    headers: {},
    entries: [entry],
    read: ({ status, body }: Answer<unknown>) => {
      if (status === 404) return [{ kind: "nothing" }];
      return ifOk(status, () => {
        const { features, revision } = body as Item;
        return [{ kind: "seen", revision, present: { [category]: shownOf(features.data, features.meta) } }];
      });
    },
  };
}

interface Meta {
  created_at: string;
  compute_id: string | null;
}

function shownOf(data: Shown["data"], { compute_id: computeId, created_at: createdAt }: Meta): Shown {
  return { data, computeId, createdAt };
}

function ifOk(status: number, read: () => Outcome[] | null): Outcome[] | null {
  return status === 200 ? read() : null;
}

function writtenOf({ outcome, revision, categories_updated: categories }: Written): Outcome {
  // What a batch rejects is none of the workload's doing; nothing fits it, and so it is found.
  return outcome === "applied" || outcome === "rejected"
    ? { kind: "applied", revision, categories }
    : { kind: "unchanged", revision };
}

function partsOf({ action }: Entry) {
  return action.kind === "change" && action.change.kind === "write" ? action.change.parts : [];
}

function entityBody(entry: Entry) {
  const { entity, action } = entry;
  const id = action.kind === "change" && action.change.kind === "write" ? action.change.id : null;
  return {
    entity_type: entity.type,
    entity_value: entity.value,
    feature_list: partsOf(entry).map(({ category, mode, time, features }) => ({
      category,
      mode,
      features,
      compute_id: id,
      ...(time !== "now" && { event_timestamp: timestampOf(time) }),
    })),
    ...(action.kind === "change" && action.ifRevision !== null && { if_revision: action.ifRevision }),
  };
}

function timestampOf(micros: number): string {
  const rest = String(micros % 1_000).padStart(3, "0");
  return new Date(Math.floor(micros / 1_000)).toISOString().replace("Z", `${rest}+00:00`);
}
