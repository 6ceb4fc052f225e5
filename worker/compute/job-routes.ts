/** Computations too large for one request, and how far they are. A route of system C. */
import * as z from "zod";
import { Problem } from "../errors.ts";
import { jsonAnswer } from "../http/answer.ts";
import { endpoint } from "../http/endpoint.ts";
import { textUpTo } from "../http/fields.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { findJob } from "./compute-store.ts";
import { jobAnswer, jobSchema } from "./job-answers.ts";

const getJob = endpoint(
  {
    method: "get",
    path: "/api/v1/jobs/{job_id}",
    tag: "computed features",
    summary: "The progress of a computation",
    scope: "read",
    request: { param: () => z.object({ job_id: textUpTo(MAX_NAME_CHARACTERS) }) },
    answers: { 200: { description: "The job.", schema: jobSchema } },
    problems: [404],
  },
  async (c, { param }) => {
    const job = await findJob(c.env.DB, c.principal.tenant, param.job_id);
    if (!job) throw new Problem(404, "there is no such job");
    return jsonAnswer(jobAnswer(job));
  },
);

export const jobEndpoints = [getJob];
