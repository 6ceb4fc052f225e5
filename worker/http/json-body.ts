/** Reads a request's JSON body: its size, its type, and its numbers to the last digit. */
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { Problem } from "../errors.ts";
import { NumberOutOfRange, parseJson } from "../json.ts";
import { MAX_BODY_BYTES } from "../limits.ts";
import type { AppEnv } from "./context.ts";

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

/** @throws Problem 413 for a body over the limit. */
export const limitBody = bodyLimit({
  maxSize: MAX_BODY_BYTES,
  onError: () => {
    throw new Problem(413, `the body is larger than the ${MAX_BODY_BYTES} bytes that a request may have`);
  },
});

/**
 * Makes `c.req.json()`, which the validator calls, read with our parser.
 *
 * @throws Problem 415 when the body is not declared as JSON, 400 when it is none, 422 for a number no type can hold.
 */
export const readJson: MiddlewareHandler<AppEnv> = async (c, next) => {
  const type = c.req.header("content-type");
  if (!type || !JSON_TYPE.test(type)) {
    throw new Problem(415, `Content-Type must be application/json${type ? "" : ", there is none"}`);
  }
  const body = parseBody(decodeBody(await c.req.arrayBuffer()));
  c.req.json = async <T>() => body as T;
  await next();
};

/** Bytes that are no UTF-8 would become other characters: they are refused, not changed. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function decodeBody(bytes: ArrayBuffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Problem(400, "the body is not UTF-8", {
      errors: [{ loc: ["body"], msg: "is not UTF-8", type: "encoding_invalid" }],
    });
  }
}

function parseBody(text: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    if (cause instanceof NumberOutOfRange) {
      throw new Problem(422, "the body holds a number beyond the range of float64", {
        errors: [
          { loc: ["body"], msg: "a number is beyond the range of float64", type: "number_out_of_range" },
        ],
      });
    }
    throw new Problem(
      400,
      text === "" ? "a JSON body is needed, it is empty" : "the body is not valid JSON",
      {
        errors: [{ loc: ["body"], msg: "is not valid JSON", type: "json_invalid" }],
      },
    );
  }
}
