/**
 * Lets modules write code when they load, as the runtime does when a Worker starts. Under vitest they load later; the
 * function constructor that vitest then lends knows one parameter an argument only, not "a,b" and not "".
 */
globalThis.Function = new Proxy(globalThis.Function, {
  construct(lent: FunctionConstructor, args: string[]) {
    const body = args.at(-1) ?? "";
    const names = args.slice(0, -1).flatMap((list) => list.split(",").filter((name) => name.trim() !== ""));
    return new lent(...names, body);
  },
});
