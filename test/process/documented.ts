/** Compares an answer with the documented one: literally, except for what is another one each time. Pure. */

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const API_KEY = /^fs_[^_]+_.+$/;
const SOURCE = /^(memory|kv|d1)$/;

/** Texts that vary within a form. */
const FORMS = [TIMESTAMP, UUID, API_KEY];
/** Fields whose values vary within a form or, where there is none, within their type. */
const VARYING = new Map<string, RegExp | null>([
  ["source", SOURCE],
  ["cache_hit", null],
  ["revision", null],
  ["request_id", null],
  ["key_id", null],
  ["subscription_id", /^sub_[0-9a-f]+$/],
  ["secret", /^whsec_[A-Za-z0-9+/]+=$/],
  ["cursor", null],
  ["next_cursor", null],
  ["token", null],
  ["duration_ms", null],
  ["freshness_seconds", null],
  ["hour", TIMESTAMP],
]);

/** What differs, each with its place; nothing, when the answer is as documented. */
export function differences(documented: unknown, answered: unknown, path: readonly string[] = []): string[] {
  const types = [typeOf(documented), typeOf(answered)] as const;
  const place = path.join(".") || "the answer";
  if (types[0] !== types[1]) return [`${place} is documented as ${types[0]}, is ${types[1]}`];
  if (Array.isArray(documented) && Array.isArray(answered)) {
    if (documented.length !== answered.length) {
      return [`${place} is documented with ${documented.length} elements, has ${answered.length}`];
    }
    return documented.flatMap((value, i) => differences(value, answered[i], [...path, String(i)]));
  }
  if (isObject(documented) && isObject(answered)) {
    return [...new Set([...Object.keys(documented), ...Object.keys(answered)])].flatMap((key) => {
      const at = [...path, key].join(".");
      if (!Object.hasOwn(answered, key)) return [`${at} is documented and not there`];
      if (!Object.hasOwn(documented, key)) return [`${at} is there and not documented`];
      return differences(documented[key], answered[key], [...path, key]);
    });
  }
  return isAsDocumented(path.at(-1) ?? "", documented, answered)
    ? []
    : [`${place} is documented as ${JSON.stringify(documented)}, is ${JSON.stringify(answered)}`];
}

function isAsDocumented(key: string, documented: unknown, answered: unknown): boolean {
  if (documented === answered) return true;
  const form = VARYING.get(key);
  if (form !== undefined) return form === null || form.test(String(answered));
  // A time of whole seconds comes from the request; the service's own never is one.
  if (String(documented).endsWith(".000000+00:00")) return false;
  return FORMS.some((one) => one.test(String(documented)) && one.test(String(answered)));
}

function typeOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeOf(value) === "object";
}
