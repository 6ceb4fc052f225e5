/**
 * A client of the store: the production code between a route and the bindings, run as a request would run it. It
 * sends again what was not acknowledged when it has a key, and sometimes what was.
 */
import { requestContext } from "../../worker/http/context.ts";
import { documentKey } from "../../worker/keys.ts";
import { isolateMemory } from "../../worker/serving/memory.ts";
import { readContext, TOKEN_HEADER } from "../../worker/serving/read-context.ts";
import { type EntityRead, readEntities } from "../../worker/serving/read-entities.ts";
import type { EntityChange, RequestRow } from "../../worker/writing/entity-write.ts";
import { IDEMPOTENCY_HEADER } from "../../worker/writing/submit-changes.ts";
import { ownerOf } from "../../worker/writing/writer-access.ts";
import type { Brought } from "./brought.ts";
import type { Front } from "./front.ts";
import type { Floor, Judge } from "./judge.ts";
import { askPast } from "./past-request.ts";
import { type Answer, contextOf, isUnavailable, throughAnother, throughThis } from "./requests.ts";
import { type Action, nameOf, type Operation, type PastRead, type PlannedChange } from "./schedule.ts";
import type { Entity } from "./spread.ts";
import type { Timeline } from "./timeline.ts";
import { actor, LARGE_SKEW_MS, START_MS, type World } from "./world.ts";

export interface ClientWorld {
  env: Env;
  tenant: string;
  world: World;
  timeline: Timeline;
  judge: Judge;
  brought: Brought;
  memoryTtlMs: number;
  counts: Counts;
  /** In which database an entity is. */
  placeOf: (entity: string) => number;
  /** Who answers what is asked over HTTP; null where nothing is. */
  front: Front | null;
}

export interface Counts {
  acknowledged: number;
  refused: number;
  repeated: number;
  reads: number;
  pastReads: number;
  failedReads: number;
}

interface Session {
  token: string;
  /** Of a write of one entity. */
  entity: { name: string; revision: number } | null;
  /** What D1 held then a read must have reached: by the databases that were written to, and anywhere else. */
  moments: ReadonlyMap<number, number>;
  moment: number;
}

type Change = Extract<Action, { do: "change" }>;
type Read = Extract<Action, { do: "read" }>;

const TRIES = 5;
const REASON = { type: "feature_type", detail: "it is of another type" };
/** Within this time whoever writes through an isolate sees it there. */
const OWN_WRITES_MS = 60_000;
const NO_FLOOR: Floor = { revision: 0, why: "nothing" };

export class Client {
  readonly #w: ClientWorld;
  /** Of its last write. */
  #token: Session | null = null;
  readonly #revisions = new Map<string, number>();
  /** Acknowledged requests with a key. */
  readonly #kept: { operation: Operation; action: Change; bodies: EntityChange[]; answer: Answer }[] = [];

  constructor(world: ClientWorld) {
    this.#w = world;
  }

  async run(operation: Operation): Promise<void> {
    const { action } = operation;
    try {
      if (action.do === "change") await this.#change(operation, action);
      else if (action.do === "read") await this.read(action);
      else if (action.do === "read past") await this.readPast(action);
      else if (action.do === "fill") await this.#fill(action.entity);
      else if (action.do === "invalidate") await this.#invalidate(action.entity);
    } catch (cause) {
      this.#w.judge.complain(
        `operation ${operation.id} ended in ${cause instanceof Error ? cause.stack : cause}`,
      );
    }
  }

  /** Sends everything with a key again: the answers are the same. */
  async repeatAll(): Promise<void> {
    for (const { operation, action, bodies, answer } of this.#kept) {
      const again = await this.#send(operation, action, bodies);
      this.#same(operation, answer, again);
    }
  }

  async read({ consistency, entities }: Omit<Read, "do">): Promise<void> {
    const { timeline, judge, counts, world } = this.#w;
    const token = consistency === "session" ? this.#token : null;
    if (consistency === "session" && !token) return;
    const [since, sinceMs] = [timeline.now, world.nowMs];
    // Of one database there is no replica.
    const mayBeOld = this.#w.front !== null && consistency !== "strong";
    const floors = entities.map((entity) => this.#floor(nameOf(entity), token));
    const context = readContext(
      contextOf({ ...this.#w, headers: { [TOKEN_HEADER]: token?.token }, body: "" }),
      consistency,
    );
    try {
      const reads = await readEntities(context, entities);
      counts.reads += 1;
      reads.forEach((read, i) => {
        const [entity, floor] = [entities[i], floors[i]];
        if (!entity || !floor) return;
        world.note(`read ${nameOf(entity)} from ${read.source}: ${read.revision}`);
        if (consistency === "strong" && read.source !== "d1")
          judge.complain("a strong read came from a cache");
        judge.read(nameOf(entity), read, { since, isOfNow: !mayBeOld }, floor);
        this.#remembered(nameOf(entity), read, sinceMs);
      });
    } catch (cause) {
      for (const entity of entities) this.#w.brought.noteUnknown(nameOf(entity), world.nowMs);
      if (!isUnavailable(cause) || world.isHealthy) throw cause;
      counts.failedReads += 1;
    }
  }

  /** What comes from memory was brought there within its time before the read, or while it ran. */
  #remembered(entity: string, { source, revision }: EntityRead, sinceMs: number): void {
    const { brought, memoryTtlMs, judge, world } = this.#w;
    if (source !== "memory") {
      brought.note(entity, revision, world.nowMs);
      return;
    }
    // A clock that was set back in between holds what it remembers for longer.
    const fromMs = sinceMs - memoryTtlMs + Math.min(0, actor().aheadMs);
    if (!brought.isSince(entity, revision, fromMs))
      judge.complain(
        `a read of ${entity} from memory shows revision ${revision}, which was brought before its time`,
      );
  }

  async readPast(asked: PastRead): Promise<void> {
    const { timeline, judge, counts, front, placeOf } = this.#w;
    const { consistency, rows, knownSecond } = asked;
    const token = consistency === "session" ? this.#token : null;
    if (!front || (consistency === "session" && !token)) return;
    const since = timeline.now;
    // The clock of who answers may be another.
    const ownMs = OWN_WRITES_MS - LARGE_SKEW_MS;
    const floors = rows.map(({ entity }) => this.#floor(nameOf(entity), token, ownMs));
    const told = await askPast(front, asked, token?.token);
    if (!told) {
      counts.failedReads += 1;
      return;
    }
    counts.pastReads += 1;
    const answers = told.rows.map((row, i) => ({ ...row, floor: floors[i] ?? NO_FLOOR }));
    const isOfNow = consistency === "strong" || knownSecond !== null;
    for (const own of Map.groupBy(answers, ({ entity }) => placeOf(entity)).values()) {
      judge.past(own, told.knownAt, { since, isOfNow });
    }
  }

  #floor(entity: string, token: Session | null, ownMs = OWN_WRITES_MS): Floor {
    const { timeline, world, placeOf } = this.#w;
    const own = ownWrites(world).get(entity);
    const floors = [NO_FLOOR];
    if (token?.entity?.name === entity) floors.push({ revision: token.entity.revision, why: "its token" });
    else if (token) {
      const moment = token.moments.get(placeOf(entity)) ?? token.moment;
      floors.push({ revision: timeline.revisionAt(entity, moment), why: "its session" });
    }
    if (own && world.nowMs - own.atMs < ownMs) floors.push({ ...own, why: "a write through the isolate" });
    return floors.reduce((a, b) => (b.revision > a.revision ? b : a));
  }

  async #change(operation: Operation, action: Change): Promise<void> {
    const { timeline, judge, world, counts } = this.#w;
    const since = timeline.now;
    const bodies = action.changes.map((change) => this.#body(change));
    let first: Answer | null = null;
    for (let tries = 0; tries < (action.hasKey ? TRIES : 1); tries++) {
      const answer = await this.#send(operation, action, bodies);
      if (!answer) counts.refused += 1;
      else if (first) this.#same(operation, first, answer);
      else {
        first = answer;
        counts.acknowledged += 1;
        if (action.hasKey) this.#kept.push({ operation, action, bodies, answer });
        action.changes.forEach((change, i) => {
          const [result, body] = [answer.results[i], bodies[i]];
          const ifRevision = body?.kind === "write" ? body.ifRevision : null;
          if (result) judge.acknowledge({ operation: operation.id, change, ifRevision, result, since });
          else judge.refuse(operation.id, change);
        });
        this.#remember(action, answer, since);
      }
      if (first && world.chance() < 0.7) return;
      await new Promise((resolve) => setTimeout(resolve, world.someMs(world.chance() < 0.5 ? 100 : 3_000)));
    }
  }

  async #send(operation: Operation, action: Change, bodies: EntityChange[]): Promise<Answer | null> {
    const key = action.hasKey ? `key-${operation.id}` : undefined;
    const c = contextOf({ ...this.#w, headers: { [IDEMPOTENCY_HEADER]: key }, body: JSON.stringify(action) });
    try {
      const answer = await (action.through === "this isolate"
        ? throughThis(c, this.#rows(action, bodies))
        : throughAnother(c, this.#rows(action, bodies)));
      this.#w.world.note(`operation ${operation.id} is told ${JSON.stringify(answer.results)}`);
      return answer;
    } catch (cause) {
      if (!isUnavailable(cause) || this.#w.world.isHealthy) throw cause;
      this.#w.world.note(`operation ${operation.id} is refused`);
      return null;
    }
  }

  /** The registry, which refuses a row of a request with a key, may think otherwise when the request comes again. */
  #rows({ hasKey }: Change, bodies: EntityChange[]): RequestRow[] {
    if (!hasKey || bodies.length === 1) return bodies;
    const refused = Math.floor(this.#w.world.chance() * bodies.length * 2);
    return bodies.map((body, i) => {
      const { entityType, entityValue } = body;
      return i === refused ? { kind: "refused", entityType, entityValue, reason: REASON } : body;
    });
  }

  #same(operation: Operation, first: Answer, again: Answer | null): void {
    this.#w.counts.repeated += 1;
    const [a, b] = [first, again].map((answer) => JSON.stringify([answer?.results, answer?.timestamp]));
    if (again && a !== b) this.#w.judge.complain(`operation ${operation.id} was told ${a}, and then ${b}`);
  }

  #remember(action: Change, { results, token }: Answer, since: number): void {
    const { timeline, world, placeOf } = this.#w;
    const moments = new Map<number, number>();
    action.changes.forEach(({ entity, n }, i) => {
      const result = results[i];
      if (!result) return;
      const { revision } = result;
      const name = nameOf(entity);
      this.#revisions.set(name, revision);
      const place = placeOf(name);
      const moment = Math.max(
        moments.get(place) ?? since,
        timeline.applied.get(n)?.moment ?? 0,
        timeline.deleted.get(`${name}@${revision}`)?.moment ?? 0,
      );
      moments.set(place, moment);
      const own = ownWrites(world);
      if (action.through === "this isolate" && (own.get(name)?.revision ?? 0) <= revision) {
        own.set(name, { revision, atMs: world.nowMs });
      }
    });
    const [only] = action.changes;
    const entity =
      only && action.changes.length === 1
        ? { name: nameOf(only.entity), revision: results[0]?.revision ?? 0 }
        : null;
    this.#token = { token, entity, moments, moment: Math.max(since, ...moments.values()) };
  }

  #body(change: PlannedChange): EntityChange {
    const { entity } = change;
    if (change.kind === "delete")
      return { kind: "delete", ...entity, category: change.category, datedNow: false };
    const ifRevision = change.isConditional ? (this.#revisions.get(nameOf(entity)) ?? 0) : null;
    this.#w.timeline.sent.set(change.n, { change, ifRevision });
    return {
      kind: "write",
      ...entity,
      source: null,
      ifRevision,
      categories: change.categories.map(({ category, mode, eventSecond, names }) => ({
        category,
        mode,
        eventTime: eventSecond === null ? null : START_MS * 1_000 + eventSecond * 1_000_000,
        computeId: null,
        ttlSeconds: null,
        data: JSON.stringify(Object.fromEntries(names.map((name) => [name, change.n]))),
        names,
      })),
    };
  }

  async #fill(entity: Entity): Promise<void> {
    await this.#withOwner(entity, ({ writer, identity }) => writer.fill(identity, [entity]));
  }

  async #invalidate(entity: Entity): Promise<void> {
    await this.#withOwner(entity, ({ writer, identity }) => writer.invalidate(identity, entity));
    const { tenant, settings } = this.#requestContext();
    isolateMemory.forget(await documentKey(tenant, settings.writerPartitions, entity));
  }

  /** Nobody is promised that it happens. */
  async #withOwner(
    entity: Entity,
    work: (owner: Awaited<ReturnType<typeof ownerOf>>) => Promise<unknown>,
  ): Promise<void> {
    const owner = await ownerOf(this.#requestContext(), entity).catch((cause: unknown) => {
      if (!isUnavailable(cause) || this.#w.world.isHealthy) throw cause;
      return null;
    });
    if (owner) await work(owner).catch(() => {});
  }

  #requestContext() {
    return requestContext(contextOf({ ...this.#w, headers: {}, body: "" }));
  }
}

/** Revisions that the isolate has been told of, by entity; of one world. */
const noted = new WeakMap<World, Map<string, { revision: number; atMs: number }>>();
function ownWrites(world: World) {
  const found = noted.get(world) ?? new Map<string, { revision: number; atMs: number }>();
  noted.set(world, found);
  return found;
}
