/**
 * Parquet is decoded in a process of its own, `parquet-process.ts`. A damaged file can make the decoder go on for ever, or
 * for more memory than there is, which ends a process whatever it catches (and with a worker thread the whole of it):
 * so it is that process that ends, and the import says of which file and what.
 */
import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import type { DecodedArray, FileMetaData } from "hyparquet";

const PROCESS = join(import.meta.dirname, "parquet-process.ts");

/** Milliseconds. A piece of a column takes a fraction of a second, the longest nested one that fits in memory some. */
const LIMIT_MS = 60_000;

/** Rows from 0, without the end. */
export interface RowRange {
  start: number;
  end: number;
}

export interface ColumnPiece {
  path: string;
  /** All that are asked for in turn: the file is opened once for them. */
  columns: string[];
  column: string;
  rows: RowRange;
  /** Decoded and kept as a whole for the pieces that follow, as a nested column can only be from where it begins. */
  within: RowRange;
}

export type Asked = { kind: "metadata"; path: string } | ({ kind: "piece" } & ColumnPiece);
export type Answered = { value: unknown } | { fault: string };

/** Of one file: what is wrong with its bytes, in words that follow its name. */
export class UnreadableBytes extends Error {}

/** hyparquet says what is wrong by plain errors. Any other is of a contradiction that it did not see coming. */
export function faultText(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const isPlain = cause.constructor === Error || cause instanceof UnreadableBytes;
  return isPlain ? cause.message : `it contradicts itself (${cause.message})`;
}

/** Answers one question at a time. Its process begins with the first, and never keeps this one from ending. */
export class ParquetDecoder {
  readonly #limitMs: number;
  #process: ChildProcess | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(limitMs: number = LIMIT_MS) {
    this.#limitMs = limitMs;
  }

  /** @throws UnreadableBytes */
  metadata(path: string): Promise<FileMetaData> {
    return this.#inTurn({ kind: "metadata", path }) as Promise<FileMetaData>;
  }

  /** @throws UnreadableBytes */
  piece(piece: ColumnPiece): Promise<DecodedArray> {
    return this.#inTurn({ kind: "piece", ...piece }) as Promise<DecodedArray>;
  }

  #inTurn(asked: Asked): Promise<unknown> {
    const answer = this.#last.then(() => this.#ask(asked));
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #ask(asked: Asked): Promise<unknown> {
    this.#process ??= started();
    const answer = await answerOf(this.#process, asked, this.#limitMs);
    if (typeof answer === "string") {
      this.#process.kill("SIGKILL");
      this.#process = null;
      throw new UnreadableBytes(`decoding it ${answer}: it is damaged, or its row groups are too large`);
    }
    if ("fault" in answer) throw new UnreadableBytes(answer.fault);
    return answer.value;
  }
}

function started(): ChildProcess {
  // Advanced: typed arrays, bigints and dates arrive as what they are.
  const child = fork(PROCESS, [], {
    serialization: "advanced",
    execArgv: [],
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  child.once("exit", () => process.off("exit", end));
  child.unref();
  child.channel?.unref();
  return child;
}

/** @returns what became of it, in words, where there is no answer. */
function answerOf(child: ChildProcess, asked: Asked, limitMs: number): Promise<Answered | string> {
  return new Promise((resolve) => {
    const settle = (answer: Answered | string) => {
      clearTimeout(late);
      child.off("message", answered).off("exit", exited).off("error", failed);
      resolve(answer);
    };
    const answered = (message: unknown) => settle(message as Answered);
    const exited = (code: number | null, signal: string | null) => settle(`ended with ${signal ?? code}`);
    const failed = (cause: Error) => settle(`failed (${cause.message})`);
    const late = setTimeout(() => settle(`takes more than ${limitMs / 1_000} s`), limitMs);
    child.on("message", answered).on("exit", exited).on("error", failed);
    child.send(asked);
  });
}
