/** Bounds what is read and answered at once: a small request may ask for a large value a thousand times. */
import { type Problem, unprocessable } from "../errors.ts";
import { MAX_ANSWER_CHARACTERS, MAX_ENTITIES_BYTES } from "../limits.ts";

/** @throws Problem 422 for more than an answer may have. */
export function assertAnswerSize(characters: number): void {
  if (characters <= MAX_ANSWER_CHARACTERS) return;
  throw tooLarge(
    `the answer would have more than ${MAX_ANSWER_CHARACTERS} characters: ask for fewer entities, rows or features at a time`,
  );
}

/** The entities asked for are together more than is read at once, however little of them was asked for. */
export function entitiesTooLarge(): Problem {
  return tooLarge(
    `the entities asked for have more than ${MAX_ENTITIES_BYTES} bytes together: ask for fewer at a time`,
  );
}

function tooLarge(msg: string): Problem {
  return unprocessable({ loc: ["body"], msg, type: "answer_too_large" }, msg);
}
