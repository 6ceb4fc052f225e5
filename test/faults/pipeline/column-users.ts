/** Those who add columns to the raw table, and who look at it in the end: what an answer promises them. */
import type { Asking } from "./asking.ts";
import type { TableColumn, TableColumns } from "./columns.ts";
import type { Registered } from "./registered.ts";
import type { Rows, StoredRow } from "./rows.ts";
import type { Action } from "./schedule.ts";

interface ColumnUsersWorld {
  asking: Asking;
  registered: Registered;
  rows: Rows;
  columns: TableColumns;
  complain: (text: string) => void;
}

type AddColumns = Extract<Action, { do: "add columns" }>;

export class ColumnUsers {
  readonly counts = { columnsAdded: 0, columnsRefused: 0 };
  readonly #w: ColumnUsersWorld;

  constructor(own: ColumnUsersWorld) {
    this.#w = own;
  }

  /** @returns whether they are there. */
  async add({ columns: names, type }: AddColumns): Promise<boolean> {
    const { asking, rows, columns, complain } = this.#w;
    const asked = names.map((name): TableColumn => [name, type]);
    const before = columns.registered;
    const body = { columns: asked.map(([name, type]) => ({ name, type })) };
    const path = `${this.#table}/columns`;
    const reply = await asking.until({ method: "POST", path, body }, [200, 201, 404, 409]);
    if (!reply) return false;
    if (reply.status === 404) {
      if (!rows.isDropped) complain(`the table is there, and its columns are ${reply.text}`);
      return false;
    }
    if (reply.status === 201) this.counts.columnsAdded += 1;
    if (reply.status === 409) this.counts.columnsRefused += 1;
    columns.answered(reply.status as 200 | 201 | 409, { asked, before });
    return reply.status !== 409;
  }

  /** In the end: the table has all columns, and its rows, in the order in which they came, what they were sent with. */
  async lookAtAll(): Promise<void> {
    const { asking, rows, columns, complain } = this.#w;
    const table = await asking.read(this.#table);
    const page = await asking.read(`${this.#table}/rows?limit=1000`);
    if (!table || !page) {
      if (!rows.isDropped) complain("the table is there, and nobody finds it");
      return;
    }
    columns.everythingKept(table);
    const names = columns.registered.map(([name]) => name as keyof StoredRow);
    const shown = rows.rows.map((row) => Object.fromEntries(names.map((name) => [name, row[name]])));
    if (JSON.stringify(page.rows) !== JSON.stringify(shown))
      complain(`the rows are shown as ${JSON.stringify(page.rows)}, and are ${JSON.stringify(shown)}`);
  }

  get #table(): string {
    return `/raw-tables/${this.#w.registered.tableId}`;
  }
}
