/** Random writes through a writer that fails, hangs and dies at random; at the end all that was promised must hold. */
import { afterEach, expect, test, vi } from "vitest";
import { UNRESOLVED_INTENT_MS } from "../../worker/limits.ts";
import {
  dieAfter,
  dieBefore,
  type Fault,
  failAfter,
  failBefore,
  type Watched,
  watched,
} from "../setup/faults.ts";
import {
  cached,
  history,
  inWriterObject,
  ref,
  remove,
  resultsOf,
  sleep,
  stored,
  type TestWriter,
  until,
  type WriterObject,
  write,
} from "../setup/writer.ts";

const SEEDS = [1, 2, 3];
const STEPS = 60;
const VALUES = ["u1", "u2", "u3"];

/** A linear congruential generator: the same seed, the same run (as far as D1's timing allows). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Acknowledged {
  value: string;
  revision: number;
  /** Null: a deletion. */
  n: number | null;
}

class Run {
  readonly object: WriterObject;
  readonly acknowledged: Acknowledged[] = [];
  readonly instances: Watched[] = [];
  readonly #random: () => number;
  #writer: TestWriter;
  #n = 0;

  constructor(object: WriterObject, random: () => number) {
    this.object = object;
    this.#random = random;
    this.#writer = this.#restart();
  }

  async step(): Promise<void> {
    const dice = this.#random();
    if (dice < 0.12) this.#writer = this.#restart();
    else if (dice < 0.2) void this.#writer.alarm();
    else if (dice < 0.3) void this.#writer.fill(ref(this.#value())).catch(() => {});
    else if (dice < 0.34) void this.#writer.invalidate(ref(this.#value()));
    else {
      const times = dice < 0.5 ? 4 : 1;
      const changes = Array.from({ length: times }, () => this.#change());
      await Promise.race([Promise.all(changes), sleep(this.#random() * 120)]);
    }
    await sleep(this.#random() * 30);
  }

  /** The stores are well again, a last instance takes over, and no transaction can be on its way any more. */
  async heal(): Promise<void> {
    await sleep(400);
    this.#writer = this.#restart(true);
    await this.#writer.alarm();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + UNRESOLVED_INTENT_MS + 1_000 });
    await this.#writer.alarm();
    await until("nothing is owed", async () => {
      await this.#writer.alarm();
      return this.object.intents() === 0 && this.object.documents().every(({ dirty }) => dirty === 0);
    });
  }

  sent() {
    return this.instances.flatMap((instance) => instance.sent());
  }

  async #change(): Promise<void> {
    this.#n += 1;
    const n = this.#n;
    const value = this.#value();
    const isRemoval = this.#random() < 0.12;
    const change = isRemoval ? remove(value) : write(value, { a: { n }, b: { n } });
    const key = this.#random() < 0.5 ? { key: `k${n}`, fingerprint: "f" } : null;
    const tries = key ? 3 : 1;
    for (let i = 0; i < tries; i++) {
      const reply = await this.#writer.submit(change, key);
      if (reply.kind !== "settled") continue;
      const [result] = resultsOf(reply);
      const isDone = result?.outcome === "applied" || result?.outcome === "deleted";
      if (isDone) this.acknowledged.push({ value, revision: result.revision, n: isRemoval ? null : n });
      return;
    }
  }

  #value(): string {
    return VALUES[Math.floor(this.#random() * VALUES.length)] ?? "";
  }

  /** The instance before this one stands still from now on, wherever it is. */
  #restart(isHealthy = false): TestWriter {
    for (const { faults } of this.instances) {
      faults.database = dieBefore;
      faults.cache = dieBefore;
      faults.queue = dieBefore;
    }
    const instance = watched();
    this.instances.push(instance);
    if (!isHealthy) {
      instance.faults.database = this.#sometimes(0.12);
      // KV puts do not land late here: nothing orders a put of a dead instance and one of its successor.
      instance.faults.cache = this.#sometimes(0.2, "in time");
      instance.faults.queue = this.#sometimes(0.25);
    }
    return this.object.start(instance.env);
  }

  #sometimes<Call>(probability: number, lands: "in time" | "at any time" = "at any time"): Fault<Call> {
    return async (call, run) => {
      if (this.#random() >= probability) return run();
      const dice = this.#random() * (lands === "in time" ? 0.7 : 1);
      if (dice < 0.3) return failBefore();
      if (dice < 0.55) return failAfter(call, run);
      if (dice < 0.7) return dice < 0.63 ? dieBefore() : dieAfter(call, run);
      if (dice < 0.85) return sleep(this.#random() * 150).then(run);
      void sleep(this.#random() * 300).then(run);
      throw new Error("the connection was lost, the call was not");
    };
  }
}

afterEach(() => vi.useRealTimers());

for (const seed of SEEDS) {
  test(`whatever fails, every promise holds (seed ${seed})`, () =>
    inWriterObject(async (object) => {
      const run = new Run(object, randomOf(seed));
      for (let step = 0; step < STEPS; step++) await run.step();
      await run.heal();
      const rows = await history(object.tenant);
      const sent = run.sent();

      // Every event of a committed write was sent, a write has one id for ever, and first times are in revision order.
      const idOf = new Map<string, string>();
      const lastRevision = new Map<string, number>();
      for (const { entity_id: value, resource_name: category, revision, event_id: id } of sent) {
        const place = `${value}/${category}/${revision}`;
        if (!idOf.has(place)) {
          expect(revision, `${seed}: order of ${place}`).toBeGreaterThanOrEqual(lastRevision.get(value) ?? 0);
          lastRevision.set(value, revision);
        }
        expect(idOf.get(place) ?? id, place).toBe(id);
        idOf.set(place, id);
      }
      for (const { entity_value, category, revision, event_id } of rows) {
        expect(
          idOf.get(`${entity_value}/${category}/${revision}`),
          `${seed}: ${entity_value} ${revision}`,
        ).toBe(event_id);
      }

      for (const value of VALUES) {
        const own = rows.filter((row) => row.entity_value === value);
        const acknowledged = run.acknowledged.filter((one) => one.value === value);
        const revisions = acknowledged.map(({ revision }) => revision);
        expect(new Set(revisions).size, `${seed}: revisions of ${value}`).toBe(revisions.length);

        // What is left of the history is whole: each write with both of its categories, under a revision of its own.
        const written = Map.groupBy(own, ({ revision }) => revision);
        for (const [revision, parts] of written) {
          expect(
            parts.map(({ category }) => category),
            `${seed}: ${value} ${revision}`,
          ).toEqual(["a", "b"]);
          expect(new Set(parts.map(({ data }) => data)).size).toBe(1);
        }
        // An acknowledged write is in it, unless a deletion came after it.
        const first = Math.min(...written.keys());
        for (const { revision, n } of acknowledged) {
          if (n === null || revision < first) continue;
          expect(
            JSON.parse(written.get(revision)?.[0]?.data ?? "null"),
            `${seed}: ${value} ${revision}`,
          ).toEqual({ n });
        }
        for (const { revision, n } of acknowledged) {
          const ids = ["a", "b"].map((category) => idOf.get(`${value}/${category}/${revision}`));
          if (n !== null) expect(ids, `${seed}: events of ${value} ${revision}`).not.toContain(undefined);
        }
        // No write was applied twice.
        const all = own.filter(({ category }) => category === "a").map(({ data }) => data);
        expect(new Set(all).size, `${seed}: repetitions of ${value}`).toBe(all.length);

        const state = await stored(object.tenant, ref(value));
        const newest = Math.max(0, ...written.keys());
        if (newest > 0) {
          expect(state?.revision).toBe(newest);
          expect(state?.categories.get("a")?.data).toBe(written.get(newest)?.[0]?.data);
        } else expect(state).toBeNull();
        const document = await cached(object.tenant, ref(value));
        if (document) expect(document, `${seed}: document of ${value}`).toEqual(state);
      }
      expect(run.acknowledged.length).toBeGreaterThan(5);
    }));
}
