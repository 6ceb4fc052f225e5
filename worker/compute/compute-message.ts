/** The messages of the queue `feature-compute`. One schema for producers and consumer. */
import * as z from "zod";

/** Made with the first message, not at the start. */
export const computeMessage = z.lazy(() =>
  z.discriminatedUnion("kind", [
    /** Rows have arrived: recompute what follows the table, for the entities that they touch. */
    z.object({ kind: z.literal("ingest"), tenant_id: z.string(), table_id: z.int() }),
    /** Write the next entities of a job; how far it is stands in its row. */
    z.object({ kind: z.literal("job"), tenant_id: z.string(), job_id: z.uuid(), table_id: z.int() }),
    /** Write the next file of a training set. */
    z.object({ kind: z.literal("training_set"), tenant_id: z.string(), training_set_id: z.string() }),
    /** Go on with the deletion of a tenant, if it is its turn; how far it is stands in its record. */
    z.object({ kind: z.literal("deletion"), tenant_id: z.string(), run: z.int() }),
  ]),
);

export type ComputeMessage = z.infer<typeof computeMessage>;
