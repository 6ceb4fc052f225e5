/** The token of `Authorization: Bearer <token>` (RFC 6750, 2.1). Null when the header is none of a bearer. */
export function bearerToken(authorization: string): string | null {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
}
