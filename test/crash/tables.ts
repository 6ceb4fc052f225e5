/**
 * Raw tables under the crash run: rows that clients ingest, a feature that follows them, one that is computed when
 * asked, and one so wide that its computation becomes a job.
 */
import { pick } from "../setup/random.ts";
import { type Answer, ask } from "../setup/service.ts";
import type { Life } from "./clients.ts";
import type { Ingest, Job, Refusal, TableHistory } from "./history.ts";
import { retryAfterMs } from "./requests.ts";
import {
  CROWD,
  followerOf,
  isSameRows,
  makeBaskets,
  makeCrowd,
  manualOf,
  personOf,
  readVector,
  readVectors,
  SHOPPERS,
} from "./table-requests.ts";

/** A job whose message died with its process several times is asked for again later and later. */
const REST_MS = 180_000;

interface Table {
  id: number;
  number: number;
  ingests: Ingest[];
}

export class Tables {
  readonly unexpected: string[] = [];
  /** Computations that were to be tried again later. */
  readonly refusals: Refusal[] = [];
  readonly #tables: Table[] = [];
  readonly #open: { table: Table; ingest: Ingest; key: string | null }[] = [];
  readonly #jobs: string[] = [];
  #crowd: Promise<void> | null = null;
  #count = 0;

  /** From now on clients ingest into a new one: vectors name all rows, so they should not grow for ever. */
  async add(service: Life["service"]): Promise<void> {
    const number = this.#tables.length + 1;
    const id = await makeBaskets(service, number);
    this.#tables.push({ id, number, ingests: [] });
  }

  /** A client's errand. */
  async ingestOrCompute(random: () => number, life: Life): Promise<void> {
    const table = this.#tables.at(-1);
    if (!table) return;
    if (random() < 0.04) {
      await this.#ask(life, `POST /api/v1/features/${manualOf(table.number)}/compute`, undefined, null);
      return;
    }
    this.#count += 1;
    const id = `i${this.#count}`;
    const rows = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, n) => ({
      row: `${id}-${n}`,
      entity: pick(random, SHOPPERS),
    }));
    const ingest = { id, calledMs: performance.now(), answeredMs: null, rows, kept: null };
    await this.#ingest(life, table, ingest, random() < 0.5 ? `key-${id}` : null);
  }

  /** Starts a computation that is far from done when the kill comes. */
  async startJob(service: Life["service"]): Promise<void> {
    this.#crowd ??= makeCrowd(service);
    await this.#crowd;
    const answer = await ask<{ job_id: string }>(service, "POST /api/v1/features/crowd/compute").catch(
      () => null,
    );
    if (answer?.status === 202) this.#jobs.push(answer.body.job_id);
    else if (answer) this.unexpected.push(`a computation was answered ${answer.status}`);
  }

  get jobs(): number {
    return this.#jobs.length;
  }

  get ingests(): Ingest[] {
    return this.#tables.flatMap(({ ingests }) => ingests);
  }

  async sendAgain(life: Life): Promise<void> {
    for (const { table, ingest, key } of this.#open.splice(0)) {
      if (key === null) continue;
      for (let i = 0; i < 2; i++)
        await this.#ingest(life, table, { ...ingest, calledMs: performance.now() }, key);
    }
  }

  /** Waits until the follower says what the rows say, or has had its time, and every job has ended. */
  async rest(service: Life["service"]): Promise<TableHistory[]> {
    const untilMs = Date.now() + REST_MS;
    const jobs = await this.#endOfJobs(service, untilMs);
    const ends = await Promise.all(
      this.#tables.map(async ({ id, number, ingests }) => {
        await ask(service, `POST /api/v1/features/${manualOf(number)}/compute`);
        const rows = await readVectors(service, manualOf(number));
        let vectors = await readVectors(service, followerOf(number));
        while (!isSameRows(rows, vectors) && Date.now() < untilMs) {
          await new Promise((resolve) => setTimeout(resolve, 250));
          vectors = await readVectors(service, followerOf(number));
        }
        const { body } = await ask<{ row_count: number }>(service, `GET /api/v1/raw-tables/${id}`);
        const end = { rowCount: body.row_count, rows, vectors, computed: [], jobs: [] };
        return { table: followerOf(number), ingests, end };
      }),
    );
    const rest = { rowCount: 0, rows: {}, vectors: {}, computed: [], jobs };
    return [...ends, { table: "crowd", ingests: [], end: rest }];
  }

  async #endOfJobs(service: Life["service"], untilMs: number): Promise<Job[]> {
    return Promise.all(
      this.#jobs.map(async (id) => {
        const read = () => ask<{ status: string; computed: number }>(service, `GET /api/v1/jobs/${id}`);
        let { body } = await read();
        while (body.status !== "done" && body.status !== "failed" && Date.now() < untilMs) {
          await new Promise((resolve) => setTimeout(resolve, 250));
          ({ body } = await read());
        }
        const sample = Array.from({ length: 40 }, (_, i) => personOf(Math.floor((i * CROWD) / 40)));
        const vectors = await Promise.all(sample.map((person) => readVector(service, "crowd", person)));
        const wrong = sample.filter((person, i) => `${vectors[i]}` !== `row-of-${person}`);
        return { id, status: body.status, computed: body.computed, total: CROWD, wrong };
      }),
    );
  }

  async #ingest(life: Life, table: Table, ingest: Ingest, key: string | null): Promise<void> {
    const data = ingest.rows.map(({ row, entity }) => ({
      row_id: row,
      [`shopper${table.number}`]: entity,
      [`buyer${table.number}`]: entity,
    }));
    const body = { raw_table_id: table.id, data };
    const answer = await this.#ask<{ row_count: number; rows_ingested: number }>(
      life,
      "POST /api/v1/ingest",
      body,
      key,
    );
    if (answer === "not sent") return;
    const kept = answer && { total: answer.body.row_count, count: answer.body.rows_ingested };
    table.ingests.push({ ...ingest, kept, answeredMs: kept && performance.now() });
    if (!kept) this.#open.push({ table, ingest, key });
  }

  /** Null: it may have happened. */
  async #ask<T>(
    life: Life,
    request: string,
    body: unknown,
    key: string | null,
  ): Promise<Answer<T> | null | "not sent"> {
    const calledMs = performance.now();
    try {
      const headers = key === null ? {} : { "Idempotency-Key": key };
      const answer = await ask<T>(life.service, request, { body, headers });
      if (answer.status === 200) return answer;
      // Rows are taken while entities take no write.
      if (retryAfterMs(answer) !== null && request.endsWith("/compute"))
        this.refusals.push({ asked: request, calledMs, answeredMs: performance.now() });
      else this.unexpected.push(`${request}: ${answer.status} ${JSON.stringify(answer.body)}`);
      return null;
    } catch (cause) {
      if (!life.isOver) await new Promise((resolve) => setTimeout(resolve, 50));
      if (!life.isOver) this.unexpected.push(`${request}: ${cause}`);
      const inner = cause instanceof Error ? cause.cause : null;
      return inner instanceof Error && "code" in inner && inner.code === "ECONNREFUSED" ? "not sent" : null;
    }
  }
}
