/** Making raw tables and the features that are computed from them, and reading what was computed. */
import { ask } from "../setup/service.ts";

interface Service {
  url: string;
}

/** More than `MAX_INLINE_ENTITIES`: so many become a job. */
export const CROWD = 2_001;

export const SHOPPERS = Array.from({ length: 30 }, (_, i) => `shopper-${i}`);
export const followerOf = (number: number) => `baskets_${number}`;
export const manualOf = (number: number) => `baskets_all_${number}`;
export const personOf = (i: number) => `person-${i}`;

/** A table with one feature that follows its rows, and one that is computed when asked; each with entities of its own. */
export async function makeBaskets(service: Service, number: number): Promise<number> {
  const [shopper, buyer] = [`shopper${number}`, `buyer${number}`];
  const schema = { row_id: "string", [shopper]: "string", [buyer]: "string" };
  const id = await createTable(service, `baskets_rows_${number}`, schema);
  await createFeature(service, id, { name: followerOf(number), key: shopper, follows: true });
  await createFeature(service, id, { name: manualOf(number), key: buyer, follows: false });
  return id;
}

export async function makeCrowd(service: Service): Promise<void> {
  const tableId = await createTable(service, "crowd_rows", { row_id: "string", person: "string" });
  await createFeature(service, tableId, { name: "crowd", key: "person", follows: false });
  const data = Array.from({ length: CROWD }, (_, i) => ({
    row_id: `row-of-${personOf(i)}`,
    person: personOf(i),
  }));
  await expectStatus(service, "POST /api/v1/ingest", 200, { raw_table_id: tableId, data });
}

async function createTable(service: Service, name: string, schema: Record<string, string>): Promise<number> {
  const body = { name, schema_definition: schema };
  return (await expectStatus<{ id: number }>(service, "POST /api/v1/raw-tables", 201, body)).id;
}

async function createFeature(
  service: Service,
  tableId: number,
  { name, key, follows }: { name: string; key: string; follows: boolean },
): Promise<void> {
  await expectStatus(service, "POST /api/v1/features", 201, {
    name,
    raw_table_id: tableId,
    computation_logic: `SELECT ${key}, COUNT(*) AS n, group_concat(row_id, ' ') AS ids FROM data GROUP BY ${key}`,
    entity_key: key,
    materialize: follows ? "on_ingest" : "manual",
  });
  const version = { version: "v1", status: "active" };
  await expectStatus(service, `POST /api/v1/features/${name}/versions`, 201, version);
}

async function expectStatus<T>(service: Service, request: string, status: number, body: unknown): Promise<T> {
  const answer = await ask<T>(service, request, { body });
  if (answer.status !== status)
    throw new Error(`${request}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

export async function readVectors(service: Service, feature: string): Promise<Record<string, string[]>> {
  const read = await Promise.all(SHOPPERS.map((shopper) => readVector(service, feature, shopper)));
  return Object.fromEntries(SHOPPERS.flatMap((shopper, i) => (read[i] ? [[shopper, read[i]] as const] : [])));
}

export async function readVector(
  service: Service,
  feature: string,
  entity: string,
): Promise<string[] | null> {
  const path = `/api/v1/feature-vectors?entity_id=${entity}&feature_name=${feature}&consistency=strong`;
  const { status, body } = await ask<{ vector: { n: number; ids: string } }>(service, `GET ${path}`);
  return status === 200 ? body.vector.ids.split(" ") : null;
}

export function isSameRows(a: Record<string, string[]>, b: Record<string, string[]>): boolean {
  return SHOPPERS.every((shopper) => `${a[shopper]?.toSorted()}` === `${b[shopper]?.toSorted()}`);
}
