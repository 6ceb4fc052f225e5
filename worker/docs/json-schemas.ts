/** Schemas of zod as OpenAPI 3.1 describes them: those with an `id` once, under their name, wherever they are used. */
import * as z from "zod";

type JsonSchema = Record<string, unknown>;

interface Parameter {
  in: "path" | "query" | "header";
  name: string;
  schema: JsonSchema;
  required?: true;
  description?: unknown;
}

export class JsonSchemas {
  /** By `id`. */
  readonly named: Record<string, JsonSchema> = {};

  /** @param io What is sent to the service, or what it answers. */
  of(schema: z.ZodType, io: "input" | "output"): JsonSchema {
    // Within another one it is referred to if it has an id.
    const { properties, $defs = {} } = z.toJSONSchema(z.object({ it: schema }), {
      io,
      unrepresentable: "any",
      override: ({ zodSchema, jsonSchema }) => {
        const { override } = (z.globalRegistry.get(zodSchema) ?? {}) as { override?: JsonSchema };
        if (override) Object.assign(jsonSchema, override, { override: undefined });
      },
    });
    for (const [id, one] of Object.entries($defs)) this.named[id] = named(one as JsonSchema);
    return named(properties?.it as JsonSchema);
  }

  /** The fields of an object as parameters. */
  parameters(where: Parameter["in"], schema: z.ZodType | undefined): Parameter[] {
    const { properties = {}, required = [] } = schema ? this.of(schema, "input") : {};
    return Object.entries(properties as Record<string, JsonSchema>).map(([name, one]) => ({
      in: where,
      name,
      schema: one,
      ...((required as string[]).includes(name) && { required: true }),
      ...(one.description !== undefined && { description: one.description }),
    }));
  }

  /** @param headers What each of them means; null: it is always there. */
  headers(headers: Record<string, string | null>) {
    return Object.fromEntries(
      Object.entries(headers).map(([name, description]) => [
        name,
        description === null
          ? { required: true, schema: { type: "string" } }
          : { description, schema: { type: "string", description } },
      ]),
    );
  }
}

/** As it stands in the document. */
function named(schema: JsonSchema): JsonSchema {
  const text = JSON.stringify(schema).replaceAll('"$ref":"#/$defs/', '"$ref":"#/components/schemas/');
  const { id: _, $schema: __, ...own } = JSON.parse(text) as JsonSchema;
  return own;
}
