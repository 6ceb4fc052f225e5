/** The writers of a tenant that moves. */
import type { Settings } from "../../env.ts";
import { databaseOf, entityRef, type Layout, partitionOf } from "../../keys.ts";
import { MOVED_DOCUMENTS_AT_ONCE } from "../../limits.ts";
import { writerOf } from "../../writing/writer-access.ts";
import type { ChangedEntity } from "../../writing/writer-store.ts";
import type { Move } from "./move.ts";

/** Of one writer. */
export interface Changed {
  database: number;
  changed: ChangedEntity[];
  /** Those of them that are copied; one that was changed again meanwhile stays. */
  forget: (copied: readonly ChangedEntity[]) => Promise<void>;
}

export class MovingWriters {
  readonly #context: { env: Env; settings: Settings; tenant: string };
  /** As the tenant is spread before, and after. */
  readonly #before: Layout;
  readonly #after: Layout;

  constructor(
    context: { env: Env; settings: Settings; tenant: string },
    { from, to, partitions }: Pick<Move, "from" | "to" | "partitions">,
  ) {
    this.#context = context;
    this.#before = { databases: from, partitions };
    this.#after = { databases: to, partitions };
  }

  async watch(run: number): Promise<void> {
    await Promise.all(this.#old.map(({ writer, identity }) => writer.watch(identity, run)));
  }

  async changed(most: number): Promise<Changed[]> {
    return Promise.all(
      this.#old.map(async ({ writer, identity }) => {
        const changed: ChangedEntity[] = await writer.changedEntities(identity, most);
        const forget = (copied: readonly ChangedEntity[]) =>
          writer.forgetChanged(
            identity,
            copied.map(({ seq }) => seq),
          );
        return { database: identity.database, changed, forget };
      }),
    );
  }

  /** All of them, the new ones too. @returns whether none of them has anything under way. */
  async pause(): Promise<boolean> {
    const idle = await Promise.all(this.#all.map(({ writer, identity }) => writer.pause(identity)));
    return idle.every(Boolean);
  }

  async resume(): Promise<void> {
    await Promise.all(this.#all.map(({ writer, identity }) => writer.resume(identity)));
  }

  /** What is in KV of an entity that moves is kept current by its new writer. @param renew Called between calls. */
  async handOverDocuments(renew: () => Promise<void>): Promise<void> {
    await Promise.all(
      this.#old.map(async ({ writer, identity }) => {
        for (let after = ""; ; ) {
          const records = await writer.documents(identity, after, MOVED_DOCUMENTS_AT_ONCE);
          const leaving = records.filter(({ entity }) => this.#databaseAfter(entity) !== identity.database);
          const byOwner = Map.groupBy(leaving, ({ entity }) => partitionOf(entityRef(entity), this.#after));
          for (const [partition, own] of byOwner) {
            const owner = this.#writer(partition);
            await owner.writer.adoptDocuments(owner.identity, own);
          }
          const last = records.at(-1);
          if (!last) return;
          after = last.entity;
          await renew();
        }
      }),
    );
  }

  #databaseAfter(entity: string): number {
    return databaseOf(entityRef(entity), this.#after.databases);
  }

  get #old() {
    return this.#all.filter(({ identity }) => identity.database < this.#before.databases);
  }

  get #all() {
    const { databases, partitions } = this.#after;
    return Array.from({ length: databases * partitions }, (_, partition) => this.#writer(partition));
  }

  /** They know of no more databases than before until D1 tells them. */
  #writer(partition: number) {
    return writerOf(this.#context, partition, this.#before);
  }
}
