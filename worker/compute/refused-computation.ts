/** Why a computation has no result: in words, and as the answer to who asked for it. Pure. */
import { Problem } from "../errors.ts";
import { MAX_UNFINISHED_JOBS } from "../limits.ts";
import type { ComputeReply } from "./compute-request.ts";
import { describeSqlFault, hasRun } from "./sql/gate.ts";

/** A reply without a result: the tenant's SQL, rows or jobs are the reason. */
export type Refused = Exclude<ComputeReply, { kind: "computed" | "kept" }>;

export function wordsFor(reply: Refused): string {
  switch (reply.kind) {
    case "refused":
      return describeSqlFault(reply.fault);
    case "no_entity_key":
      return "the result of the SQL has no entity key";
    case "too_many_jobs":
      return `at most ${MAX_UNFINISHED_JOBS} computations of one raw table may wait as jobs; compute it once one has ended`;
    case "entity_twice":
      return `the result has two rows for the entity \`${reply.entity}\``;
  }
}

/** 422 when the SQL was refused, 400 when two rows of its result are of one entity, 409 when too many jobs wait. */
export function problemOf(reply: Refused): Problem {
  const words = wordsFor(reply);
  switch (reply.kind) {
    case "refused":
      return new Problem(422, `the SQL ${hasRun(reply.fault) ? "failed" : "was not run"}: ${words}`, {
        errors: [{ loc: ["computation_logic"], msg: words, type: reply.fault.reason }],
      });
    case "no_entity_key":
      return new Problem(422, words);
    case "too_many_jobs":
      return new Problem(409, words);
    case "entity_twice":
      return new Problem(400, `${words}; nothing was kept`, {
        errors: [
          {
            loc: ["result", reply.rows[1] ?? 0],
            msg: `is of the same entity as row ${reply.rows[0]}`,
            type: "entity_twice",
          },
        ],
      });
  }
}
