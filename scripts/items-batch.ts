/** `POST /items/batch`, by which commands write, and what it says became of each row. */
import * as z from "zod";
import { type Answer, CommandFault, detailOf } from "./service.ts";

export const BATCH_PATH = "/api/v1/items/batch";

/** The only source that may write. */
export const WRITING_SOURCE = "prediction_service";

const batchAnswer = z.object({
  results: z.array(
    z.object({
      entity_value: z.string(),
      outcome: z.enum(["applied", "stale", "duplicate", "rejected"]),
      reason: z.object({ type: z.string(), detail: z.string() }).optional(),
    }),
  ),
});

export type BatchResult = z.output<typeof batchAnswer>["results"][number];

/** Rows that were taken, by what became of them: current values, history alone, or nothing that was not there before. */
export interface Outcomes {
  applied: number;
  stale: number;
  duplicate: number;
}

/** @throws CommandFault when it is no answer of this service; with what was said. */
export function resultsOf(answer: Answer): BatchResult[] {
  const { success, data } = batchAnswer.safeParse(answer.body);
  if (answer.status !== 200 || !success) throw new CommandFault(`POST ${BATCH_PATH}: ${detailOf(answer)}`);
  return data.results;
}
