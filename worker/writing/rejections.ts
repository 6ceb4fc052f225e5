/** Why a write was refused, in words: as a problem of its own, or as the reason of one row of many. */
import { Problem, unprocessable } from "../errors.ts";
import { describeFault, type TypeFault } from "../registry/enforce-types.ts";
import type { Reason, Rejection } from "./entity-write.ts";

export function reasonOf(rejection: Rejection): Reason {
  return { type: rejection.reason, detail: detailOf(rejection) };
}

export function rejectionProblem(rejection: Rejection, headers: Record<string, string>): Problem {
  const { type, detail } = reasonOf(rejection);
  const isConflict = rejection.reason === "revision_mismatch";
  const loc = ["body", "data", isConflict ? "if_revision" : "feature_list"];
  return new Problem(isConflict ? 409 : 422, detail, { errors: [{ loc, msg: detail, type }], headers });
}

/** @param loc Where the features of the category stand in the request. */
export function typeProblem(fault: TypeFault, loc: (string | number)[]): Problem {
  return unprocessable({ loc: [...loc, fault.feature], msg: describeFault(fault), type: fault.reason });
}

function detailOf(rejection: Rejection): string {
  switch (rejection.reason) {
    case "revision_mismatch":
      return `if_revision: the entity has revision ${rejection.actual}, expected ${rejection.expected}`;
    case "too_many_categories":
      return `an entity may have at most ${rejection.limit} categories; with this write it would have ${rejection.found}`;
    case "category_too_large":
      return `a category may have at most ${rejection.limitBytes} bytes as JSON; with this write one would have ${rejection.foundBytes}`;
    case "event_times_too_large":
      return `a category may have at most ${rejection.limitBytes} bytes of event times that differ from its newest; with this write one would have ${rejection.foundBytes}`;
    case "entity_too_large":
      return `an entity may have at most ${rejection.limitBytes} bytes as JSON; with this write it would have ${rejection.foundBytes}`;
  }
}
