import { expect, test } from "vitest";
import { lazily } from "../worker/lazily.ts";

test("a thing is made when it is first asked for, and once", () => {
  let made = 0;
  const thing = lazily(() => ({ number: ++made }));
  expect(made).toBe(0);
  expect(thing()).toBe(thing());
  expect(made).toBe(1);
});

test("nothing is a thing, too", () => {
  let made = 0;
  const nothing = lazily(() => {
    made += 1;
  });
  nothing();
  nothing();
  expect(made).toBe(1);
});
