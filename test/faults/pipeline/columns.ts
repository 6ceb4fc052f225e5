/**
 * The columns of the raw table, as the registry has had them, held against what those were told who added some: what was
 * answered is there for ever, with its type, and only what is there as another one is refused. Pure.
 */
import type { AddedColumn, PlannedRow } from "./schedule.ts";

/** Its name and its type. */
export type TableColumn = readonly [name: string, type: string];

/** What the API says of the table. */
interface ToldTable {
  schema_definition: Record<string, string>;
  optional_columns: string[];
}

export class TableColumns {
  readonly #complain: (text: string) => void;
  /** Of before anybody added one. */
  readonly #first: readonly TableColumn[];
  readonly #promised = new Map<string, string>();
  #registered: readonly TableColumn[];

  constructor(complain: (text: string) => void, registered: readonly TableColumn[]) {
    this.#complain = complain;
    this.#first = registered;
    this.#registered = registered;
  }

  get registered(): readonly TableColumn[] {
    return this.#registered;
  }

  isPromised(column: AddedColumn): boolean {
    return this.#promised.has(column);
  }

  /** Whether rows like these must be taken. */
  mustTake(rows: readonly PlannedRow[]): boolean {
    return doFit(rows, this.#promised);
  }

  /** Whether they may be. */
  mayTake(rows: readonly PlannedRow[]): boolean {
    return doFit(rows, new Map(this.#registered));
  }

  /** What the registry has after a change of the table. */
  see(columns: readonly TableColumn[]): void {
    const before = inWords(this.#registered);
    const after = inWords(columns);
    if (before.some((column, i) => column !== after[i]))
      this.#complain(`the columns were ${before.join(", ")}, and are ${after.join(", ")}`);
    this.#registered = columns;
  }

  /**
   * @param asked Columns that somebody wants.
   * @param before What was registered when that was asked for.
   */
  answered(
    status: 200 | 201 | 409,
    { asked, before }: { asked: readonly TableColumn[]; before: readonly TableColumn[] },
  ): void {
    const there = new Map(this.#registered);
    const what = inWords(asked).join(", ");
    if (status === 409) {
      if (!asked.some(([name, type]) => there.has(name) && there.get(name) !== type))
        this.#complain(`${what} was refused, and nothing is against it`);
      return;
    }
    if (asked.some(([name, type]) => there.get(name) !== type))
      this.#complain(`${what} was answered ${status}, and is not there`);
    const earlier = new Set(inWords(before));
    if (status === 201 && inWords(asked).every((column) => earlier.has(column)))
      this.#complain(`${what} was added, and had been there before`);
    for (const [name, type] of asked) this.#promised.set(name, type);
  }

  /** In the end. @param told What the API says of the table. */
  everythingKept({ schema_definition: told, optional_columns: optional }: ToldTable): void {
    const there = new Map(Object.entries(told));
    for (const [name, type] of this.#promised)
      if (there.get(name) !== type)
        this.#complain(`column ${name} was added as ${type}, and is ${told[name]}`);
    const added = this.#registered.slice(this.#first.length).map(([name]) => name);
    if (inWords([...there]).join() !== inWords(this.#registered).join() || optional.join() !== added.join())
      this.#complain(`the table is told of as ${JSON.stringify(told)}, without need of ${optional.join()}`);
  }
}

const inWords = (columns: readonly TableColumn[]) => columns.map(([name, type]) => `${name} ${type}`);

/** All values are integers; null is of any type. */
function doFit(rows: readonly PlannedRow[], columns: ReadonlyMap<string, string>): boolean {
  return rows.every(({ added }) =>
    Object.entries(added).every(
      ([name, cell]) => columns.has(name) && (cell === null || columns.get(name) === "integer"),
    ),
  );
}
