import fc from "fast-check";
import { expect, test } from "vitest";
import { KnownInputs } from "../../worker/http/known-inputs.ts";
import { KNOWN_INPUT_MAX_CHARACTERS, KNOWN_INPUTS_MAX_CHARACTERS } from "../../worker/limits.ts";

/** Asks for a text, and says whether it had to be read. */
function reading(known: KnownInputs) {
  return (text: string, value: unknown = text): { value: unknown; isRead: boolean } => {
    let isRead = false;
    const found = known.get(text, () => {
      isRead = true;
      return value;
    });
    return { value: found, isRead };
  };
}

test("a text is read once, and another one by itself", () => {
  const ask = reading(new KnownInputs());
  const value = { a: 1 };
  expect(ask("text", value)).toEqual({ value, isRead: true });
  expect(ask("text ", "other")).toEqual({ value: "other", isRead: true });
  const again = ask("text", "not asked for");
  expect(again.isRead).toBe(false);
  expect(again.value).toBe(value);
});

test.each([[null], [false], [0], [""]])("%j is a value like any other", (value) => {
  const ask = reading(new KnownInputs());
  expect(ask("text", value)).toEqual({ value, isRead: true });
  expect(ask("text", "not asked for")).toEqual({ value, isRead: false });
});

test.each(["", "__proto__", "constructor", "語😀", "\ud83d"])("%j is a text like any other", (text) => {
  const ask = reading(new KnownInputs());
  expect([ask(text), ask(text)]).toEqual([
    { value: text, isRead: true },
    { value: text, isRead: false },
  ]);
});

test("one does not know what another was asked", () => {
  const [first, second] = [reading(new KnownInputs()), reading(new KnownInputs())];
  first("text", 1);
  expect(second("text", 2)).toEqual({ value: 2, isRead: true });
});

test("what throws is thrown each time, and what comes right later is kept", () => {
  const known = new KnownInputs();
  for (const message of ["first", "second"]) {
    const refuse = () => {
      throw new Error(message);
    };
    expect(() => known.get("text", refuse)).toThrow(message);
  }
  const ask = reading(known);
  expect([ask("text", 1), ask("text", 2)]).toEqual([
    { value: 1, isRead: true },
    { value: 1, isRead: false },
  ]);
});

test("a text is kept up to its longest, and read every time beyond", () => {
  const ask = reading(new KnownInputs());
  const isReadTwice = (length: number) => [ask("x".repeat(length)), ask("x".repeat(length))][1]?.isRead;
  expect(isReadTwice(KNOWN_INPUT_MAX_CHARACTERS)).toBe(false);
  expect(isReadTwice(KNOWN_INPUT_MAX_CHARACTERS + 1)).toBe(true);
});

test("so many characters are kept, and the text that was asked for longest ago goes first", () => {
  const ask = reading(new KnownInputs());
  const count = KNOWN_INPUTS_MAX_CHARACTERS / KNOWN_INPUT_MAX_CHARACTERS;
  const textOf = (i: number) => `${i}`.padEnd(KNOWN_INPUT_MAX_CHARACTERS, "x");
  for (let i = 0; i < count; i++) ask(textOf(i));
  expect(ask(textOf(0)).isRead).toBe(false);
  ask("one more");
  expect([0, 2, count - 1].map((i) => ask(textOf(i)).isRead)).toEqual([false, false, false]);
  expect(ask(textOf(1)).isRead).toBe(true);
});

test("a text too long for itself pushes nothing out", () => {
  const ask = reading(new KnownInputs());
  ask("kept");
  for (let i = 0; i < 30; i++) ask(`${i}`.padEnd(KNOWN_INPUT_MAX_CHARACTERS + 1, "x"));
  expect(ask("kept").isRead).toBe(false);
});

test("whatever is asked in whatever order, each text has the value that was read for it", () => {
  const text = fc.constantFrom("", "a", "A", "a ", "b", "__proto__", "x".repeat(30_000));
  fc.assert(
    fc.property(fc.array(text, { maxLength: 30 }), (texts) => {
      const ask = reading(new KnownInputs());
      for (const one of texts) expect(ask(one, `read of ${one}`).value).toBe(`read of ${one}`);
    }),
  );
});
