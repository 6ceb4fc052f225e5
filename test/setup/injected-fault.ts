/** What a test has made go wrong, told from what goes wrong by itself. */
export class InjectedFault extends Error {
  /** Where it was thrown says nothing, and costs more than the call. */
  override readonly stack = "";
}
