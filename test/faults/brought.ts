/** When an isolate was last brought each revision of an entity, from KV or D1: it may answer what it remembers only for a while. */
export class Brought {
  readonly #lastMs = new Map<string, Map<number, number>>();
  /** A read that failed may have brought something all the same. */
  readonly #unknownMs = new Map<string, number>();

  note(entity: string, revision: number, atMs: number): void {
    const own = this.#lastMs.get(entity) ?? new Map<number, number>();
    this.#lastMs.set(entity, own.set(revision, atMs));
  }

  noteUnknown(entity: string, atMs: number): void {
    this.#unknownMs.set(entity, atMs);
  }

  /** Whether the revision may have been brought then or later. */
  isSince(entity: string, revision: number, atMs: number): boolean {
    const lastMs = this.#lastMs.get(entity)?.get(revision) ?? Number.NEGATIVE_INFINITY;
    return Math.max(lastMs, this.#unknownMs.get(entity) ?? Number.NEGATIVE_INFINITY) >= atMs;
  }
}
