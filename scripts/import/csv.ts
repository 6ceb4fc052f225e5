/**
 * CSV as RFC 4180 has it: cells apart by a delimiter, records by CRLF or LF, quoted cells with any of these in them and
 * `""` for a quotation mark. An empty cell is told from a quoted empty one. Pure; takes the text in pieces.
 *
 * What the RFC does not allow makes the record a bad one and no other: where it ends is found all the same.
 */

/** Null: empty, and not quoted. */
export type Cell = string | null;

export interface CsvRecord {
  /** From 1; of its first line, where it has several. */
  line: number;
  cells: Cell[];
  fault: string | null;
}

const QUOTE = '"';

/** Where the parser is: before a cell, in one, in a quoted one, or behind its closing quote (and a CR after that). */
type State = "start" | "plain" | "quoted" | "closed" | "closed CR";

export class CsvParser {
  readonly #delimiter: string;
  #state: State = "start";
  #cell = "";
  #cells: Cell[] = [];
  #fault: string | null = null;
  #line = 1;
  #firstLine = 1;
  #length = 0;

  /** @param delimiter One character. */
  constructor(delimiter = ",") {
    this.#delimiter = delimiter;
  }

  /** Characters of the record that is not at its end yet, and the line on which it began. */
  get open(): { characters: number; line: number } {
    return { characters: this.#length, line: this.#firstLine };
  }

  /** @returns the records that end in this piece. */
  push(piece: string): CsvRecord[] {
    const records: CsvRecord[] = [];
    for (let at = 0; at < piece.length; ) {
      const from = at;
      if (this.#state === "quoted") at = this.#takeQuoted(piece, at);
      else if (this.#state === "plain") at = this.#takePlain(piece, at);
      this.#length += at - from;
      if (at === piece.length) break;
      const record = this.#take(piece[at] ?? "");
      this.#length += 1;
      at += 1;
      if (record) records.push(record);
    }
    return records;
  }

  /** @returns the last record, where no line end follows it. */
  end(): CsvRecord | null {
    if (this.#state === "start" && this.#cells.length === 0) return null;
    if (this.#state === "quoted") this.#fault ??= "has a quote that is not closed";
    return this.#endRecord();
  }

  /** Up to the next quote. */
  #takeQuoted(piece: string, from: number): number {
    const quote = piece.indexOf(QUOTE, from);
    const end = quote === -1 ? piece.length : quote;
    const text = piece.slice(from, end);
    this.#cell += text;
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) this.#line += 1;
    return end;
  }

  /** Up to what may end the cell, or may not stand in it. */
  #takePlain(piece: string, from: number): number {
    let end = from;
    for (; end < piece.length; end += 1) {
      const character = piece[end];
      if (character === this.#delimiter || character === "\n" || character === QUOTE) break;
    }
    this.#cell += piece.slice(from, end);
    return end;
  }

  #take(character: string): CsvRecord | null {
    const isEnd = character === "\n";
    if (this.#state === "quoted") {
      this.#state = "closed";
      return null;
    }
    if (this.#state === "closed" && character === QUOTE) {
      this.#cell += QUOTE;
      this.#state = "quoted";
      return null;
    }
    if (isEnd) return this.#endRecord();
    if (character === this.#delimiter && this.#state !== "closed CR") {
      this.#endCell();
      return null;
    }
    if (this.#state === "start" && character === QUOTE) {
      this.#state = "quoted";
      return null;
    }
    if (this.#state === "closed" && character === "\r") {
      this.#state = "closed CR";
      return null;
    }
    if (this.#state === "plain") this.#fault ??= "has a quote in a cell that does not begin with one";
    else if (this.#state !== "start") this.#fault ??= "has text behind a closing quote";
    this.#cell += character;
    this.#state = "plain";
    return null;
  }

  #endCell(): void {
    const isEmpty = this.#cell === "" && (this.#state === "start" || this.#state === "plain");
    this.#cells.push(isEmpty ? null : this.#cell);
    this.#cell = "";
    this.#state = "start";
  }

  #endRecord(): CsvRecord {
    if (this.#state === "plain" && this.#cell.endsWith("\r")) this.#cell = this.#cell.slice(0, -1);
    this.#endCell();
    const record = { line: this.#firstLine, cells: this.#cells, fault: this.#fault };
    this.#cells = [];
    this.#fault = null;
    this.#line += 1;
    this.#firstLine = this.#line;
    this.#length = 0;
    return record;
  }
}
