/** Files of the bucket that go together. */

/** As many as a list has. @returns how many there were, and whether there are more. */
export async function removeSomeFiles(
  bucket: R2Bucket,
  prefix: string,
): Promise<{ removed: number; isMore: boolean }> {
  const { objects, truncated } = await bucket.list({ prefix });
  if (objects.length > 0) await bucket.delete(objects.map(({ key }) => key));
  return { removed: objects.length, isMore: truncated };
}
