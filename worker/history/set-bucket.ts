/** The bucket in which training sets are. */
import { Problem } from "../errors.ts";
import type { AppContext } from "../http/context.ts";

/** @throws Problem 503 where none is bound. */
export function bucketOf({ env }: AppContext): R2Bucket {
  if (env.ARCHIVE) return env.ARCHIVE;
  throw new Problem(503, "training sets need a bucket, and none is bound as ARCHIVE to this deployment");
}
