/**
 * What code takes from its surroundings: time, timers, chance, ids, the network and the log. That of an actor gets its
 * world's; all other code the real ones.
 */
import { actorIfAny } from "./world.ts";

/** Real timers have lower numbers. */
const FIRST_TIMER = 2 ** 40;

/** Returns how to undo it. */
export function useVirtualGlobals(): () => void {
  const restore = [
    replaced(Date, "now", (real) => () => {
      const who = actorIfAny();
      return who ? who.world.nowMs + who.aheadMs : real();
    }),
    replaced(Math, "random", (real) => () => actorIfAny()?.world.chance() ?? real()),
    replaced(console, "error", (real) => (...told: unknown[]) => {
      const who = actorIfAny();
      if (who) who.world.note(`${who.name} logs: ${told.join(" ").slice(0, 6_500)}`);
      else real(...told);
    }),
    replaced(globalThis, "fetch", (real) => (...asked: Parameters<typeof fetch>) => {
      const who = actorIfAny();
      return who ? who.world.fetch(...asked) : real(...asked);
    }),
    ...virtualTimers(),
    ...virtualIds(),
  ];
  return () => {
    for (const undo of restore) undo();
  };
}

function virtualTimers(): (() => void)[] {
  const timers = new Map<number, () => void>();
  let last = FIRST_TIMER;
  const wait =
    (real: (...all: unknown[]) => unknown) =>
    (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const who = actorIfAny();
      if (!who) return real(callback, ms, ...args);
      last += 1;
      const timer = last;
      const act = () => {
        timers.delete(timer);
        callback(...args);
      };
      timers.set(timer, who.world.after(ms, { label: "timer", actor: who, act }));
      return timer;
    };
  const clear = (real: (...all: unknown[]) => unknown) => (timer: unknown) => {
    const cancel = timers.get(timer as number);
    timers.delete(timer as number);
    return cancel ? cancel() : real(timer);
  };
  return [replaced(globalThis, "setTimeout", wait), replaced(globalThis, "clearTimeout", clear)];
}

function virtualIds(): (() => void)[] {
  const fill = (bytes: Uint8Array) => {
    const world = actorIfAny()?.world;
    return world ? bytes.fill(0).map(() => world.idByte()) : null;
  };
  return [
    replaced(crypto, "randomUUID", (real) => () => {
      const bytes = fill(new Uint8Array(16));
      if (!bytes) return real();
      const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
    }),
    // Of `node:crypto` too.
    replaced(crypto, "getRandomValues", (real) => (array: ArrayBufferView) => {
      const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      const bytes = fill(new Uint8Array(view.length));
      if (!bytes) return real(array);
      view.set(bytes);
      return array;
    }),
  ];
}

type Callable = (...all: never[]) => unknown;

function replaced<T extends object, K extends keyof T & string>(
  owner: T,
  name: K,
  replacement: (real: (...all: unknown[]) => unknown) => Callable,
): () => void {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const real = (owner[name] as Callable).bind(owner as never) as (...all: unknown[]) => unknown;
  Object.defineProperty(owner, name, { value: replacement(real), configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(owner, name, own);
    else Reflect.deleteProperty(owner, name);
  };
}
