/** Whether a request brings the token of the monitoring. Takes as long whatever is wrong with it. */
import { isSameDigest, sha256Of } from "../digests.ts";
import { bearerToken } from "../http/bearer.ts";

/** @param token Null when there is none: then no request brings it. */
export function isMetricsToken(token: string | null, authorization: string | undefined): boolean {
  const presented = bearerToken(authorization ?? "");
  if (token === null || presented === null) return false;
  // Digests have one length; comparing the texts would tell that of the token.
  return isSameDigest(sha256Of(presented), sha256Of(token));
}
