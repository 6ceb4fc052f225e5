/** Bounds an answer: a small request may ask for the same large value a thousand times. */
import { Problem } from "../errors.ts";
import { MAX_ANSWER_CHARACTERS } from "../limits.ts";

/** @throws Problem 422 for more than an answer may have. */
export function assertAnswerSize(characters: number): void {
  if (characters <= MAX_ANSWER_CHARACTERS) return;
  const msg = `the answer would have more than ${MAX_ANSWER_CHARACTERS} characters of values: ask for fewer entities, rows or features at a time`;
  throw new Problem(422, msg, { errors: [{ loc: ["body"], msg, type: "answer_too_large" }] });
}
