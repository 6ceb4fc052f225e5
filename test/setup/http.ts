/** Asking the service as a client would: over HTTP, on the real bindings. */
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import type { OpenApi } from "./openapi.ts";

export const ORIGIN = "http://store.test";

/** The form of every timestamp in an answer: six digits, `+00:00`. */
export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;

export interface Answer<T> {
  status: number;
  headers: Headers;
  text: string;
  bytes: ArrayBuffer;
  /** The parsed JSON; undefined when the answer is not JSON. */
  body: T;
}

export interface Asked {
  /** A text or bytes go as they are, anything else as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

/** @param path With `/` in front: below `/api/v1`, unless it starts with `//`, which stands for the root. */
export async function ask<T = unknown>(
  method: string,
  path: string,
  { body, headers = {} }: Asked = {},
): Promise<Answer<T>> {
  const isRaw = typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  const response = await exports.default.fetch(urlOf(path), {
    method,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && { body: isRaw ? body : JSON.stringify(body) }),
  });
  const bytes = await response.arrayBuffer();
  const text = new TextDecoder().decode(bytes);
  const { status, headers: answered } = response;
  return { status, headers: answered, text, bytes, body: parsed(response, text) as T };
}

export const get = <T = unknown>(path: string, headers: Record<string, string> = {}) =>
  ask<T>("GET", path, { headers });
export const post = <T = unknown>(path: string, body: unknown, headers: Record<string, string> = {}) =>
  ask<T>("POST", path, { body, headers });
export const remove = <T = unknown>(path: string, headers: Record<string, string> = {}) =>
  ask<T>("DELETE", path, { headers });

export async function readDocument(): Promise<OpenApi> {
  const { status, body } = await get<OpenApi>("//openapi.json");
  expect(status).toBe(200);
  return body;
}

function urlOf(path: string): string {
  return path.startsWith("//") ? `${ORIGIN}${path.slice(1)}` : `${ORIGIN}/api/v1${path}`;
}

function parsed(response: Response, text: string): unknown {
  return /[/+]json/.test(response.headers.get("content-type") ?? "") && text !== ""
    ? JSON.parse(text)
    : undefined;
}

export interface Written {
  entity_value: string;
  entity_type: string;
  categories_updated: string[];
  timestamp: string;
  revision: number;
  outcome: string;
}

export interface Meta {
  created_at: string;
  updated_at: string;
  compute_id: string | null;
}

export interface Item {
  category: string;
  features: { data: Record<string, unknown>; meta: Meta };
  revision: number;
  source: string;
}

export interface Items {
  entity_value: string;
  entity_type: string;
  items: Record<string, { features: { data: Record<string, unknown>; metadata: Meta } }>;
  unavailable_feature_categories: string[];
  unavailable_features: Record<string, string[]>;
  revision: number;
  source: string;
}

export interface BatchWritten {
  results: {
    entity_type: string;
    entity_value: string;
    outcome: string;
    revision: number | null;
    categories_updated: string[];
    reason?: { type: string; detail: string };
  }[];
  timestamp: string;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  request_id: string;
  errors?: { loc: (string | number)[]; msg: string; type: string }[];
}

/** One entry of `feature_list`. */
export const entry = (category: string, features: unknown, options: Record<string, unknown> = {}) => ({
  category,
  features,
  ...options,
});

export interface UpsertOptions {
  metadata?: Record<string, unknown>;
  data?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export const WRITER = { source: "prediction_service" };

/** The body of `POST /items`, as system A has it. */
export function itemsBody(value: string, list: unknown[], { metadata = {}, data = {} }: UpsertOptions = {}) {
  return {
    metadata: { ...WRITER, ...metadata },
    data: { entity_type: "bright_uid", entity_value: value, feature_list: list, ...data },
  };
}

export const upsert = (value: string, list: unknown[], options: UpsertOptions = {}) =>
  post<Written>("/items", itemsBody(value, list, options), options.headers);

export const itemPath = (value: string, category: string, query = "") =>
  `/get/item/${encodeURIComponent(value)}/${encodeURIComponent(category)}${query}`;

export const readItem = (value: string, category: string, query = "") =>
  get<Item>(itemPath(value, category, query));

export const readItems = (value: string, featureList: string[], data: Record<string, unknown> = {}) =>
  post<Items>("/get/items", {
    meta: { source: "api" },
    data: { entity_type: "bright_uid", entity_value: value, feature_list: featureList, ...data },
  });

const TITLES: Record<number, RegExp> = {
  400: /bad request/i,
  401: /unauthorized/i,
  403: /forbidden/i,
  404: /not found/i,
  405: /method not allowed/i,
  409: /conflict/i,
  413: /too large/i,
  415: /unsupported media type/i,
  422: /unprocessable/i,
};

/** Every error has the form of RFC 9457, with the request's id in it and in the header. */
export function expectProblem(answer: Answer<unknown>, status: number, what = ""): ProblemBody {
  const problem = answer.body as ProblemBody;
  const shown = `${what} ${answer.status} ${answer.text.slice(0, 300)}`;
  expect(answer.status, shown).toBe(status);
  expect(answer.headers.get("content-type"), shown).toBe("application/problem+json");
  expect(problem, shown).toEqual({
    type: expect.any(String),
    title: expect.stringMatching(TITLES[status] ?? /./),
    status,
    detail: expect.stringMatching(/./),
    request_id: expect.stringMatching(/./),
    ...(problem.errors && { errors: expect.any(Array) }),
  });
  expect(answer.headers.get("x-request-id"), shown).toBe(problem.request_id);
  for (const fault of problem.errors ?? []) {
    expect(fault, shown).toEqual({
      loc: expect.any(Array),
      msg: expect.stringMatching(/./),
      type: expect.stringMatching(/./),
    });
  }
  return problem;
}

/** Where the faults are, as `body.data.entity_value`. */
export const faultPlaces = ({ errors = [] }: ProblemBody) => errors.map(({ loc }) => loc.join("."));

export const secondsAgo = (seconds: number) =>
  new Date(Date.now() - seconds * 1_000).toISOString().replace("Z", "+00:00");
