import type { Reporter, SerializedError, TestModule } from "vitest/node";

/**
 * Prints `N passed, N failed, N skipped` of all projects' tests alone on the last line, for the reader of the
 * CI's output. A file that could not be collected, and an error outside of any test, count as failed: its
 * tests never ran, and a line without failures would say that all is well.
 */
export default class ClosingLine implements Reporter {
  #line = "";

  onInit(): void {
    // At the exit, because closing the runtime may print too.
    process.once("exit", () => this.#line && console.log(this.#line));
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) {
        counts.failed += suite.errors().length;
      }
      for (const test of module.children.allTests()) {
        counts[test.result().state] += 1;
      }
    }
    const { passed, failed, skipped, pending } = counts;
    this.#line = `${passed} passed, ${failed + pending} failed${skipped ? `, ${skipped} skipped` : ""}`;
  }
}
