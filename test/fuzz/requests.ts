/** Requests of one operation: valid ones, and each part of them broken in turn. */
import fc from "fast-check";
import { BAD_JSON, BAD_SEGMENTS, changed, SECRET } from "../setup/hostile.ts";
import { type Described, type Parameter, placesOf } from "../setup/openapi.ts";
import { ACCEPTED, BAD_HEADERS, BAD_QUERIES, OTHER_HEADERS, OTHER_TYPES, UNKNOWN } from "./odd-parts.ts";
import type { FuzzRequest } from "./send.ts";
import { aroundExample, type Source, valid } from "./values.ts";

interface Parts {
  segments: Record<string, string>;
  query: [string, string][];
  headers: Record<string, string>;
  /** Parsed; undefined: there is none. */
  body: unknown;
}

/** Every request that an operation should survive; what is wrong with it stands in `kind`. */
export function requestsOf(source: Source, described: Described): fc.Arbitrary<FuzzRequest> {
  const parts = validParts(source, described);
  const whole = (kind: string) => (each: Parts) => assemble(described, each, kind);
  const kinds: fc.WeightedArbitrary<FuzzRequest>[] = [
    { weight: 6, arbitrary: parts.map(whole("valid")) },
    { weight: 1, arbitrary: withUnknown(parts).map(whole("unknown query and headers")) },
    { weight: 2, arbitrary: withBadHeader(described, parts).map(whole("hostile header")) },
  ];
  const forms = Object.keys(described.operation.responses[200]?.content ?? {});
  if (forms.length > 1) {
    kinds.push({ weight: 4, arbitrary: inForm(forms, parts).map(whole("another form")) });
  }
  const parameters = described.operation.parameters ?? [];
  if (described.operation.requestBody) {
    kinds.push({ weight: 8, arbitrary: withBrokenBody(source, described, parts) });
    kinds.push({ weight: 2, arbitrary: withBrokenText(described, parts) });
  }
  const inPath = parameters.filter((each) => each.in === "path");
  if (inPath.length > 0) {
    kinds.push({ weight: 2, arbitrary: withBadSegment(inPath, parts).map(whole("hostile path")) });
  }
  const inQuery = parameters.filter((each) => each.in === "query");
  if (inQuery.length > 0) {
    kinds.push({ weight: 3, arbitrary: withBadQuery(inQuery, parts).map(whole("hostile query")) });
  }
  return fc.oneof(...kinds);
}

function validParts(source: Source, { operation }: Described): fc.Arbitrary<Parts> {
  const parameters = operation.parameters ?? [];
  const values = (where: Parameter["in"]) => {
    const own = parameters.filter((each) => each.in === where);
    const record = Object.fromEntries(own.map((each) => [each.name, parameterValue(source, each)]));
    const requiredKeys = own.filter(({ required }) => required).map(({ name }) => name);
    const needed = Object.fromEntries(requiredKeys.map((name) => [name, record[name] ?? fc.constant("x")]));
    // An optional key of a record is mostly there: where one parameter excludes another, few of them have to be.
    const some = fc
      .subarray(own)
      .map((chosen) => new Set([...chosen.map(({ name }) => name), ...requiredKeys]));
    const few = fc
      .tuple(fc.record(record), some)
      .map(([all, names]) => Object.fromEntries(Object.entries(all).filter(([name]) => names.has(name))));
    const most = fc.record(record, { requiredKeys });
    return fc.oneof(fc.record(needed), most, { weight: 3, arbitrary: few });
  };
  const schema = operation.requestBody?.content["application/json"]?.schema;
  const body: fc.Arbitrary<unknown> = schema
    ? fc.oneof(
        { weight: 4, arbitrary: aroundExample(source, schema) },
        { weight: 1, arbitrary: valid(source, schema) },
      )
    : fc.constant(undefined);
  const isOptional = operation.requestBody?.required === false;
  return fc.record({
    segments: values("path").map(texts),
    query: values("query").map((query) => Object.entries(texts(query))),
    headers: values("header").map((headers) => headerTexts(texts(headers))),
    body: isOptional ? fc.oneof(body, fc.constant(undefined)) : body,
  });
}

function parameterValue(source: Source, { in: where, name, schema }: Parameter): fc.Arbitrary<unknown> {
  // Of what a path names mostly nothing is there, unless it is one of those that are.
  const known = where === "path" ? (source.known.get(name) ?? []) : [];
  return fc.oneof(
    ...(known.length > 0 ? [{ weight: 6, arbitrary: fc.constantFrom(...known) }] : []),
    { weight: 3, arbitrary: aroundExample(source, schema, name) },
    { weight: 1, arbitrary: valid(source, schema, name) },
  );
}

const texts = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));

/** A header holds bytes, and Node refuses what no client could send. */
const headerTexts = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, headerText(value)]));
const headerText = (text: string) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, "?");

function assemble({ method, path }: Described, parts: Parts, kind: string): FuzzRequest {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => segment(parts.segments[name] ?? "x"));
  const query = parts.query.map(([name, value]) => `${name}=${encodeQuery(value)}`).join("&");
  const hasBody = parts.body !== undefined;
  return {
    kind,
    method,
    path: query === "" ? filled : `${filled}?${query}`,
    headers: { ...(hasBody && { "content-type": "application/json" }), ...parts.headers },
    body: hasBody ? JSON.stringify(parts.body) : null,
  };
}

/** Texts that stand in the path as they are begin with a mark, all others are encoded. */
const RAW = "\u0000raw:";
const segment = (text: string) => (text.startsWith(RAW) ? text.slice(RAW.length) : encode(text) || "x");
const encodeQuery = (text: string) => (text.startsWith(RAW) ? text.slice(RAW.length) : encode(text));
const encode = (text: string) => encodeURIComponent(text.toWellFormed());

const withUnknown = (parts: fc.Arbitrary<Parts>) =>
  fc.tuple(parts, fc.subarray(UNKNOWN, { minLength: 1 }), fc.boolean()).map(([each, query, withHeader]) => ({
    ...each,
    query: [...each.query, ...query],
    headers: {
      ...each.headers,
      ...(withHeader && { "x-unknown": "1", cookie: "a=b", "x-forwarded-for": "::1" }),
    },
  }));

const inForm = (forms: string[], parts: fc.Arbitrary<Parts>) =>
  fc
    .tuple(parts, fc.constantFrom(...forms))
    .map(([each, accept]) => ({ ...each, headers: { ...each.headers, accept } }));

function withBadHeader({ operation }: Described, parts: fc.Arbitrary<Parts>): fc.Arbitrary<Parts> {
  const own = (operation.parameters ?? []).filter((each) => each.in === "header").map(({ name }) => name);
  // Twice, because what the operation reads itself matters more than what all of them read.
  const names = [...own, ...own, ...OTHER_HEADERS];
  return fc
    .tuple(parts, fc.constantFrom(...names), fc.constantFrom(...BAD_HEADERS, ...ACCEPTED))
    .map(([each, name, value]) => ({ ...each, headers: { ...each.headers, [name]: value } }));
}

const withBadSegment = (inPath: Parameter[], parts: fc.Arbitrary<Parts>) =>
  fc
    .tuple(
      parts,
      fc.constantFrom(...inPath),
      fc.constantFrom(...BAD_SEGMENTS, `${SECRET}-path`, ".", "..", "%2e", "a/b", "a//b", "a%5cb"),
    )
    .map(([each, { name }, text]) => ({ ...each, segments: { ...each.segments, [name]: `${RAW}${text}` } }));

const withBadQuery = (inQuery: Parameter[], parts: fc.Arbitrary<Parts>) =>
  fc
    .tuple(parts, fc.constantFrom(...inQuery), fc.constantFrom(...BAD_QUERIES), fc.boolean())
    .map(([each, { name }, text, isRepeated]) => {
      const others = isRepeated ? each.query : each.query.filter(([known]) => known !== name);
      return { ...each, query: [...others, [name, `${RAW}${text}`] as [string, string]] };
    });

/** One place of a valid body: something else there, or nothing. */
function withBrokenBody(
  source: Source,
  described: Described,
  parts: fc.Arbitrary<Parts>,
): fc.Arbitrary<FuzzRequest> {
  const schema = described.operation.requestBody?.content["application/json"]?.schema ?? {};
  const isNumber = /^-?\d/;
  return fc
    .tuple(parts, fc.nat(10_000), fc.constantFrom(null, ...BAD_JSON), fc.boolean())
    .map(([each, position, json, isDoubled]) => {
      const places = placesOf(source.document, schema, each.body);
      const at = places[position % places.length] ?? [];
      const request = assemble(described, each, `body.${at.join(".")} = ${json?.slice(0, 40) ?? "left out"}`);
      if (each.body === undefined) return request;
      const body = changed(each.body, at, json);
      // Of a key that comes twice the last one counts: a sound value in front must not hide it.
      const key = JSON.stringify(String(at.at(-1)));
      const doubled =
        isDoubled && json && isNumber.test(json) && body.replace(`${key}:`, () => `${key}:1,${key}:`);
      return { ...request, body: doubled || body };
    });
}

/** The body's text spoilt: cut off, empty, no UTF-8, of another type, with something behind it. */
function withBrokenText(described: Described, parts: fc.Arbitrary<Parts>): fc.Arbitrary<FuzzRequest> {
  const cut = (text: string, at: number) => text.slice(0, at % Math.max(text.length, 1));
  const faults = fc.oneof(
    fc.nat(10_000).map((at) => ["cut off", (text: string) => cut(text, at)] as const),
    fc.constantFrom(
      ["empty", () => ""] as const,
      ["something behind", (text: string) => `${text} 1`] as const,
      ["a mark in front", (text: string) => `\ufeff${text}`] as const,
      ["NaN", () => `{"a":NaN}`] as const,
      ["a comment", (text: string) => `/* */${text}`] as const,
      [
        "half a surrogate",
        (text: string) => text.replace(/"[^"]*"(?=[,}\]])/, String.raw`"\ud83d"`),
      ] as const,
    ),
  );
  const spoilt = fc.tuple(parts, faults).map(([each, [kind, spoil]]) => {
    const request = assemble(described, each, kind);
    return { ...request, body: spoil(request.body ?? "{}") };
  });
  const bytes = parts.map((each) => ({
    ...assemble(described, each, "no UTF-8"),
    body: `{"a":"\u00ff"}`,
    isBinary: true,
  }));
  const typed = fc.tuple(parts, fc.constantFrom(...OTHER_TYPES)).map(([each, type]) => {
    const request = assemble(described, each, `content type ${type}`);
    return { ...request, headers: { ...request.headers, "content-type": type } };
  });
  return fc.oneof(spoilt, spoilt, bytes, typed);
}
