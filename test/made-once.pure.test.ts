import { expect, test } from "vitest";
import { madeOnce } from "../worker/made-once.ts";

test("it is made once for each object, and an empty text is made too", () => {
  const made: object[] = [];
  const nameOf = madeOnce((of: { name: string }) => {
    made.push(of);
    return of.name;
  });
  const [a, b] = [{ name: "" }, { name: "" }];
  expect([a, b, a, b].map(nameOf)).toEqual(["", "", "", ""]);
  expect(made).toEqual([a, b]);
  expect(made[1]).toBe(b);
});

test("what fails is not kept: it is tried again", () => {
  let left = 1;
  const make = madeOnce((_: object) => {
    if (left-- > 0) throw new Error("not yet");
    return "made";
  });
  const of = {};
  expect(() => make(of)).toThrow("not yet");
  expect(make(of)).toBe("made");
});
