/** A request's JSON body: its size, its type, and its numbers to the last digit. */
import { utf8Length } from "../characters.ts";
import { Problem, unprocessable } from "../errors.ts";
import { NumberOutOfRange, parseJson, rawDigits } from "../json.ts";
import { MAX_BODY_BYTES } from "../limits.ts";
import type { AppContext } from "./context.ts";

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

function tooLarge(): never {
  throw new Problem(413, `the body is larger than the ${MAX_BODY_BYTES} bytes that a request may have`);
}

/** The bytes of a body without a declared length; reading stops at the limit. */
async function undeclaredBytes(body: ReadableStream<Uint8Array> | null): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > MAX_BODY_BYTES) tooLarge();
    chunks.push(chunk);
  }
  return new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer();
}

/** How a body is read: it may be missing; it is that of a hot read. */
interface Reading {
  isOptional: boolean;
  isRepeated: boolean;
}

/**
 * Reads the body, and keeps its text for whoever wants to recognise the request again.
 *
 * @returns null where a body may be missing and is.
 * @throws Problem 413 for a body over the limit, 415 when it is not declared as JSON or is compressed, 400 when it is not UTF-8.
 */
export async function readBody(c: AppContext, { isOptional, isRepeated }: Reading): Promise<string | null> {
  const declared = c.header("content-length");
  if (declared !== undefined && Number(declared) > MAX_BODY_BYTES) tooLarge();
  const { request } = c;
  const type = c.header("content-type");
  const isJson = type !== undefined && JSON_TYPE.test(type);
  const body =
    declared === undefined
      ? await undeclaredBytes(request.body)
      : // The runtime logs a warning for the text of what is not declared as one.
        await (isRepeated && isJson ? request.text() : request.arrayBuffer());
  const size = typeof body === "string" ? body.length : body.byteLength;
  if (size > MAX_BODY_BYTES) tooLarge();
  if (isOptional && size === 0) return null;
  assertPlain(c.header("content-encoding"));
  if (!isJson) {
    throw new Problem(415, `Content-Type must be application/json${type ? "" : ", there is none"}`);
  }
  const text = typeof body === "string" ? assertDecoded(body, Number(declared)) : decodeBody(body);
  c.bodyText = text;
  return text;
}

const ENCODINGS = ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"];

/** A body is never decompressed: how large it becomes is known only afterwards. */
function assertPlain(contentEncoding: string | undefined): void {
  if (contentEncoding === undefined) return;
  const coded = contentEncoding.split(",").map((name) => name.trim().toLowerCase());
  const other = coded.find((name) => name !== "" && name !== "identity");
  if (other === undefined) return;
  // A known name is repeated to the caller, any other text is not.
  const named = ENCODINGS.includes(other) ? `\`${other}\`` : "this one";
  throw new Problem(415, `Content-Encoding ${named} is not supported: send the body uncompressed`, {
    headers: { "accept-encoding": "identity" },
  });
}

function notUtf8(): never {
  throw new Problem(400, "the body is not UTF-8", {
    errors: [{ loc: ["body"], msg: "is not UTF-8", type: "encoding_invalid" }],
  });
}

/** Bytes that are no UTF-8 would become other characters: they are refused, not changed. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function decodeBody(bytes: ArrayBuffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return notUtf8();
  }
}

/** What the runtime puts for bytes that are no UTF-8. A caller may send it as well. */
const REPLACEMENT = "\ufffd";
/** A mark of byte order in front, which the runtime leaves out as {@link decodeBody} does. */
const BOM_BYTES = 3;

/**
 * The runtime's own text of a body costs a hot read a quarter less than the bytes and {@link decodeBody}. It tells
 * replaced bytes by their number, but for the first three of a character of four: these pass for U+FFFD, which is why
 * nothing that is stored comes this way.
 */
function assertDecoded(text: string, declaredBytes: number): string {
  if (!text.includes(REPLACEMENT)) return text;
  const leftOut = declaredBytes - utf8Length(text);
  return leftOut === 0 || leftOut === BOM_BYTES ? text : notUtf8();
}

/** Parses with our own parser. @throws Problem 400 for what is no JSON, 422 for a number no type can hold. */
export function parseBody(text: string): unknown {
  try {
    const value = parseJson(text);
    // A long number alone is a number: kept digit for digit it would pass for an object.
    return rawDigits(value) === null ? value : Number(text);
  } catch (cause) {
    if (cause instanceof NumberOutOfRange) {
      throw unprocessable(
        { loc: ["body"], msg: "a number is beyond the range of float64", type: "number_out_of_range" },
        "the body holds a number beyond the range of float64",
      );
    }
    throw new Problem(
      400,
      text === "" ? "a JSON body is required; this one is empty" : "the body is not valid JSON",
      {
        errors: [{ loc: ["body"], msg: "is not valid JSON", type: "json_invalid" }],
      },
    );
  }
}
