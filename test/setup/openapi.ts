/** The service's own description, and requests made from it. */

export interface Schema {
  $ref?: string;
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: boolean | Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  description?: string;
  example?: unknown;
  examples?: unknown[];
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
}

export interface Content {
  schema?: Schema;
  example?: unknown;
  examples?: Record<string, unknown>;
}

export interface Operation {
  tags?: string[];
  summary?: string;
  operationId?: string;
  security?: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, Content> };
  responses: Record<string, { description?: string; content?: Record<string, Content> }>;
}

export interface OpenApi {
  openapi: string;
  tags?: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema>; securitySchemes?: Record<string, unknown> };
}

export interface Described {
  /** Upper case. */
  method: string;
  /** Parameters as `{name}`. */
  path: string;
  title: string;
  operation: Operation;
}

export function operationsOf({ paths }: OpenApi): Described[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([name, operation]) => {
      const method = name.toUpperCase();
      return { method, path, title: `${method} ${path}`, operation };
    }),
  );
}

/** What a `$ref` points to; undefined when it points nowhere. */
export function resolve(document: OpenApi, schema: Schema): Schema | undefined {
  if (schema.$ref === undefined) return schema;
  if (!schema.$ref.startsWith("#/")) return undefined;
  const steps = schema.$ref
    .slice(2)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  let found: unknown = document;
  for (const step of steps) found = (found as Record<string, unknown> | undefined)?.[step];
  return found === undefined ? undefined : resolve(document, found as Schema);
}

/** Of what may be null, the schema of what it is else, with the words around it. */
export function presentOf(document: OpenApi, given: Schema): Schema {
  const schema = resolve(document, given) ?? {};
  const { anyOf = [], ...words } = schema;
  const [part, ...others] = anyOf.filter(({ type }) => type !== "null");
  if (!part || others.length > 0 || anyOf.length === 1) return schema;
  return { ...resolve(document, part), ...words };
}

/** Whether an optional property belongs into an example: it shows a value, and no other property stands for it. */
function isShown(document: OpenApi, given: Schema): boolean {
  const schema = presentOf(document, given);
  if (/^(Another name of|Instead of)/.test(schema.description ?? "")) return false;
  if ([schema.example, schema.examples, schema.enum].some((part) => part !== undefined)) return true;
  const parts = [
    ...(schema.anyOf ?? []),
    ...(schema.oneOf ?? []),
    ...(schema.items ? [schema.items] : []),
    ...Object.values(schema.properties ?? {}),
  ];
  return parts.some((part) => isShown(document, part));
}

/** A value made of the schema's examples; of what has none, the plainest value of its type. */
export function exampleOf(document: OpenApi, given: Schema): unknown {
  const schema = resolve(document, given) ?? {};
  const [named] = [
    schema.example,
    schema.examples?.[0],
    schema.const,
    schema.default,
    schema.enum?.[0],
  ].filter((value) => value !== undefined);
  if (named !== undefined) return named;
  const [part] = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
  if (part) return exampleOf(document, part);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === "array") return schema.items ? [exampleOf(document, schema.items)] : [];
  if (type === "string") return "x";
  if (type === "integer" || type === "number") return 1;
  if (type === "boolean") return true;
  const properties = Object.entries(schema.properties ?? {}).filter(
    ([name, inner]) => schema.required?.includes(name) || isShown(document, inner),
  );
  return Object.fromEntries(properties.map(([name, inner]) => [name, exampleOf(document, inner)]));
}

export const exampleBody = (document: OpenApi, { operation }: Described): unknown =>
  exampleOf(document, operation.requestBody?.content["application/json"]?.schema ?? {});

/** The operation's path with its examples in it; `replaced` are taken as they are, percent signs and all. */
export function concretePath(
  document: OpenApi,
  { path, operation }: Described,
  replaced: Record<string, string> = {},
): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = operation.parameters?.find((each) => each.in === "path" && each.name === name);
    const example = String(exampleOf(document, parameter?.schema ?? {}) ?? "");
    return replaced[name] ?? encodeURIComponent(example || "x");
  });
}

/** The places of a body that may be left out. */
export function optionalPlacesOf(document: OpenApi, given: Schema, value: unknown): Place[] {
  const isOptional = ([step, ...more]: Place, at: Schema): boolean => {
    const { properties = {}, items, required = [] } = presentOf(document, at);
    if (step === undefined) return false;
    if (more.length === 0) return String(step) in properties && !required.includes(String(step));
    return isOptional(more, (typeof step === "number" ? items : properties[step]) ?? {});
  };
  return placesOf(document, given, value).filter((at) => isOptional(at, given));
}

export type Place = (string | number)[];

/** Every place of a body: what is there, and the properties that its schema has besides. */
export function placesOf(document: OpenApi, given: Schema, value: unknown, at: Place = []): Place[] {
  const { properties = {}, items = {} } = presentOf(document, given);
  if (Array.isArray(value)) {
    return [at, ...(value.length > 0 ? placesOf(document, items, value[0], [...at, 0]) : [])];
  }
  if (typeof value !== "object" || value === null) return [at];
  const missing = Object.keys(properties).filter((name) => !Object.hasOwn(value, name));
  const inner = Object.entries(value).flatMap(([name, part]) =>
    placesOf(document, properties[name] ?? {}, part, [...at, name]),
  );
  return [at, ...inner, ...missing.map((name) => [...at, name])];
}
