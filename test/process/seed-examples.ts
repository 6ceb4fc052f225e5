/** The examples of system B's documents (`002` and `004`), word for word, with what the sample data make them answer. */
import { expect } from "vitest";
import { featureNames } from "./seed-oracle.ts";

export interface Example {
  name: string;
  curl: string;
  answer: unknown;
}

/** The command with the host and the key that the documents only show. */
export function forService(curl: string, { url, key }: { url: string; key: string }): string {
  return curl.replaceAll("http://localhost:8000", url).replaceAll("tenant1_key", key);
}

const HEADERS = `  -H "X-API-Key: tenant1_key" \\
  -H "Content-Type: application/json"`;

const present = { value: expect.anything(), status: "PRESENT", timestamp: expect.any(String) };
const notFound = { value: null, status: "NOT_FOUND", timestamp: null };
/** In January 2024 nothing was known of anybody. */
const nothingKnown = { user_age: notFound, user_lifetime_value: notFound };

export const registered = {
  feature_id: expect.any(Number),
  name: "user_lifetime_value",
  version: 1,
  status: "registered",
  created_at: expect.any(String),
};

export const examples: Example[] = [
  {
    name: "register a feature (002)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/register \\
${HEADERS} \\
  -d '{
    "name": "user_lifetime_value",
    "version": 1,
    "dtype": "float64",
    "entity_type": "user",
    "ttl_hours": 24,
    "description": "Predicted customer lifetime value",
    "tags": ["revenue", "prediction"]
  }'`,
    answer: registered,
  },
  {
    name: "register a feature (004)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/register \\
${HEADERS} \\
  -d '{
    "name": "user_lifetime_value",
    "version": 1,
    "dtype": "float64",
    "entity_type": "user",
    "ttl_hours": 24
  }'`,
    answer: registered,
  },
  {
    name: "online features (002)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/online \\
${HEADERS} \\
  -d '{
    "entity_id": "user_123",
    "feature_names": ["user_age", "user_lifetime_value", "last_purchase_days"]
  }'`,
    answer: {
      entity_id: "user_123",
      features: { user_age: present, user_lifetime_value: present, last_purchase_days: present },
      timestamp: expect.any(String),
    },
  },
  {
    name: "online features (004)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/online \\
${HEADERS} \\
  -d '{
    "entity_id": "user_123",
    "feature_names": ["user_age", "user_lifetime_value"]
  }'`,
    answer: { entity_id: "user_123", features: { user_age: present, user_lifetime_value: present } },
  },
  {
    name: "batch features (002)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/batch \\
${HEADERS} \\
  -d '{
    "entity_ids": ["user_123", "user_456", "user_789"],
    "feature_names": ["user_age", "user_lifetime_value"],
    "timestamp": "2024-01-15T10:30:00Z"
  }'`,
    answer: {
      features: { user_123: nothingKnown, user_456: nothingKnown, user_789: nothingKnown },
      count: 3,
    },
  },
  {
    name: "batch features (004)",
    curl: `curl -X POST http://localhost:8000/api/v1/features/batch \\
${HEADERS} \\
  -d '{
    "entity_ids": ["user_1", "user_2", "user_3"],
    "feature_names": ["user_age", "user_lifetime_value"],
    "timestamp": "2024-01-15T10:00:00Z"
  }'`,
    answer: { features: { user_1: nothingKnown, user_2: nothingKnown, user_3: nothingKnown }, count: 3 },
  },
  {
    name: "list all features",
    curl: `curl -X GET http://localhost:8000/api/v1/features \\
  -H "X-API-Key: tenant1_key"`,
    answer: { features: featureNames.map((name) => expect.objectContaining({ name, version: 1 })) },
  },
  {
    name: "feature metadata",
    curl: `curl -X GET http://localhost:8000/api/v1/features/user_lifetime_value \\
  -H "X-API-Key: tenant1_key"`,
    answer: {
      name: "user_lifetime_value",
      version: 1,
      dtype: "float64",
      entity_type: "user",
      ttl_hours: 24,
      description: "Predicted customer lifetime value",
      tags: ["revenue", "prediction"],
    },
  },
  {
    name: "invalidate cache",
    curl: `curl -X DELETE http://localhost:8000/api/v1/cache/invalidate/user_123 \\
  -H "X-API-Key: tenant1_key"`,
    answer: { status: "success", entity_id: "user_123", invalidated_count: expect.any(Number) },
  },
];
