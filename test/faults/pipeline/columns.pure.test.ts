/** Whoever judges added columns finds what is planted, and nothing in what is right. */
import { describe, expect, test } from "vitest";
import { databaseOf } from "../../../worker/keys.ts";
import { placeOf, rateAt } from "../spread.ts";
import { type TableColumn, TableColumns } from "./columns.ts";
import { Rows, type StoredRow } from "./rows.ts";
import { type AddedCells, scheduleOf } from "./schedule.ts";
import { faultOfVector, USERS, type Version } from "./vectors.ts";

const FIRST: readonly TableColumn[] = [["user", "string"]];
const BONUS: TableColumn = ["bonus", "integer"];
const LEVEL: TableColumn = ["level", "integer"];
const planned = (amount: number, added: AddedCells) => ({ user: "u1", amount, atSecond: null, added });

describe("of columns", () => {
  /** What is complained of, when in the end the API tells of these. */
  function complaintsOf(watch: (columns: TableColumns) => void, told: readonly TableColumn[]): string {
    const complaints: string[] = [];
    const columns = new TableColumns((text) => complaints.push(text), FIRST);
    watch(columns);
    const optional_columns = told.slice(FIRST.length).map(([name]) => name);
    columns.everythingKept({ schema_definition: Object.fromEntries(told), optional_columns });
    return complaints.join("; ");
  }

  const adds = (columns: TableColumns, added: readonly TableColumn[]) => {
    const before = columns.registered;
    columns.see([...before, ...added]);
    columns.answered(201, { asked: added, before });
  };

  test.each<[string, readonly TableColumn[], (columns: TableColumns) => void]>([
    ["nobody adds one", FIRST, () => {}],
    [
      "one is added, and then another",
      [...FIRST, LEVEL, BONUS],
      (columns) => [[LEVEL], [BONUS]].forEach((own) => void adds(columns, own)),
    ],
    [
      "one that is there is asked for again",
      [...FIRST, BONUS],
      (columns) => {
        adds(columns, [BONUS]);
        columns.answered(200, { asked: [BONUS], before: columns.registered });
      },
    ],
    [
      "one of two that are added is there",
      [...FIRST, BONUS, LEVEL],
      (columns) => {
        adds(columns, [BONUS]);
        const before = columns.registered;
        columns.see([...FIRST, BONUS, LEVEL]);
        columns.answered(201, { asked: [BONUS, LEVEL], before });
      },
    ],
    [
      "one of another type is refused",
      [...FIRST, BONUS],
      (columns) => {
        adds(columns, [BONUS]);
        columns.answered(409, { asked: [["bonus", "string"]], before: columns.registered });
      },
    ],
    [
      "one is added, and nobody has heard of it",
      [...FIRST, BONUS],
      (columns) => columns.see([...FIRST, BONUS]),
    ],
  ])("nothing is complained of where %s", (_, told, watch) => expect(complaintsOf(watch, told)).toBe(""));

  test.each<[string, RegExp, readonly TableColumn[], (columns: TableColumns) => void]>([
    [
      "one that was answered and never came",
      /bonus integer was answered 201, and is not there/,
      FIRST,
      (columns) => columns.answered(201, { asked: [BONUS], before: FIRST }),
    ],
    [
      "one that has gone from the registry",
      /the columns were user string, bonus integer, and are user string, level integer/,
      [...FIRST, LEVEL],
      (columns) => {
        adds(columns, [BONUS]);
        columns.see([...FIRST, LEVEL]);
      },
    ],
    [
      "one that the API does not tell of",
      /column bonus was added as integer, and is undefined/,
      FIRST,
      (columns) => adds(columns, [BONUS]),
    ],
    [
      "one that was added twice",
      /bonus integer was added, and had been there before/,
      [...FIRST, BONUS],
      (columns) => {
        adds(columns, [BONUS]);
        columns.answered(201, { asked: [BONUS], before: columns.registered });
      },
    ],
    [
      "one of another type that was taken",
      /bonus string was answered 200, and is not there/,
      [...FIRST, BONUS],
      (columns) => {
        adds(columns, [BONUS]);
        columns.answered(200, { asked: [["bonus", "string"]], before: columns.registered });
      },
    ],
    [
      "one that is refused for nothing",
      /bonus integer was refused, and nothing is against it/,
      FIRST,
      (columns) => columns.answered(409, { asked: [BONUS], before: FIRST }),
    ],
    ["one that nobody has added", /the table is told of as/, [...FIRST, BONUS], () => {}],
  ])("%s is found", (_, expected, told, watch) => expect(complaintsOf(watch, told)).toMatch(expected));

  test("rows must be taken whose columns were answered, and may be whose columns are registered", () => {
    const columns = new TableColumns(() => {}, FIRST);
    const [none, value, empty] = [planned(1, {}), planned(2, { bonus: 21 }), planned(3, { bonus: null })];
    expect([none, value, empty].map((row) => columns.mayTake([none, row]))).toEqual([true, false, false]);
    columns.see([...FIRST, BONUS]);
    expect([columns.mayTake([value]), columns.mustTake([value])]).toEqual([true, false]);
    columns.answered(201, { asked: [BONUS], before: FIRST });
    expect(columns.mustTake([value, empty])).toBe(true);
    expect(columns.mustTake([planned(1, { level: 12 })])).toBe(false);
  });

  test("values are no texts, null may be one", () => {
    const columns = new TableColumns(() => {}, FIRST);
    columns.see([...FIRST, ["bonus", "string"]]);
    expect(columns.mayTake([planned(1, { bonus: 11 })])).toBe(false);
    expect(columns.mayTake([planned(1, { bonus: null })])).toBe(true);
  });
});

const stored = (amount: number, cells: Partial<StoredRow> = {}): StoredRow => {
  return { user: "u1", amount, at: null, bonus: null, level: null, ...cells };
};

describe("of their cells", () => {
  const complaintsOf = (...seen: StoredRow[][]) => {
    const complaints: string[] = [];
    const rows = new Rows((text) => complaints.push(text), null);
    rows.send(1, [planned(1, { bonus: 11 }), planned(2, { level: null }), planned(3, {})]);
    for (const all of seen) rows.see(all, 0);
    return complaints.join("; ");
  };
  const all = [stored(1, { bonus: 11 }), stored(2), stored(3)];

  test("what was sent is right, and null where nothing was", () => expect(complaintsOf(all, all)).toBe(""));

  test.each<[string, RegExp, StoredRow[][]]>([
    [
      "a value that never came",
      /^row 1 has null in bonus, and was sent with 11$/,
      [[stored(1), stored(2), stored(3)]],
    ],
    ["a value that was lost later", /^row 1 has null in bonus/, [all, [stored(1), stored(2), stored(3)]]],
    [
      "a value in another column",
      /row 1 has 11 in level, and was sent with null/,
      [[stored(1, { bonus: 11, level: 11 }), stored(2), stored(3)]],
    ],
    [
      "a value where null was sent",
      /^row 2 has 0 in level/,
      [[stored(1, { bonus: 11 }), stored(2, { level: 0 }), stored(3)]],
    ],
    [
      "a value where nothing was sent",
      /^row 3 has 11 in bonus, and was sent with null$/,
      [[stored(1, { bonus: 11 }), stored(2), stored(3, { bonus: 11 })]],
    ],
  ])("%s is found", (_, expected, seen) => expect(complaintsOf(...seen)).toMatch(expected));

  test("an ingest that was refused and is there is found", () => {
    const complaints: string[] = [];
    const rows = new Rows((text) => complaints.push(text), null);
    rows.send(1, [planned(1, {})]);
    rows.refuse(1);
    expect(complaints).toEqual([]);
    rows.see([stored(1)], 0);
    rows.refuse(1);
    expect(complaints).toEqual(["ingest 1 was refused and is there"]);
  });

  test("a vector of version 3 is of the values that there are", () => {
    const rows = [stored(1, { bonus: 11, level: 12 }), stored(2, { level: 22 }), stored(3)];
    const faultOf = (version: Version, data: object, moment = rows) => {
      const vector = { data: JSON.stringify(data), eventTime: 0 };
      return faultOfVector({
        version,
        user: "u1",
        stored: vector,
        moments: [moment],
        isTimed: false,
        since: 0,
      });
    };
    const [stream, manual] = (["stream", "manual"] as const).map(
      (feature): Version => ({ feature, version: 3 }),
    ) as [Version, Version];
    expect(faultOf(stream, { known: 1, bonuses: 11 })).toBeNull();
    expect(faultOf(manual, { n: 3, best: 22 })).toBeNull();
    expect(faultOf(stream, { known: 0, bonuses: null }, [stored(3)])).toBeNull();
    expect(faultOf(manual, { n: 1, best: null }, [stored(3)])).toBeNull();
    expect(faultOf(stream, { known: 0, bonuses: null })).not.toBeNull();
    expect(faultOf(manual, { n: 3, best: null })).not.toBeNull();
  });
});

describe("of several databases", () => {
  test("each entity is where it is said to be", () => {
    const entities = [
      ...USERS.map((entityValue) => ({ entityType: "user", entityValue })),
      ...["p1", "p2"].map((entityValue) => ({ entityType: "bright_uid", entityValue })),
    ];
    for (const databases of [1, 2, 3]) {
      const places = entities.map((entity) =>
        placeOf(`${entity.entityType}/${entity.entityValue}`, databases),
      );
      expect(places).toEqual(entities.map((entity) => databaseOf(entity, databases)));
    }
  });

  test("each fails as often as is said, and always while it is out", () => {
    const spread = {
      databases: 2,
      bound: 2,
      isDecided: true,
      rates: [0.2],
      outage: { database: 1, fromMs: 10, untilMs: 20 },
    };
    const rates = (
      [
        [0, 15],
        [1, 9],
        [1, 10],
        [1, 20],
      ] as const
    ).map(([database, ms]) => rateAt(spread, { database, ms, ofFirst: 0.1 }));
    expect(rates).toEqual([0.1, 0.2, 1, 0.2]);
  });
});

test("among many schedules there is all that befalls columns, and rows with their values come behind them", () => {
  const all = Array.from({ length: 300 }, (_, seed) => scheduleOf(seed));
  const actions = all.flatMap(({ operations }) => operations.map(({ action }) => action));
  const added = actions.flatMap((action) =>
    action.do === "add columns" ? `${action.columns} ${action.type}` : [],
  );
  expect(new Set(added).size).toBe(6);
  const cells = actions.flatMap((action) =>
    action.do === "ingest" ? action.rows.map(({ added }) => added.bonus) : [],
  );
  expect(new Set(cells.map((cell) => (cell == null ? cell : "a value")))).toEqual(
    new Set([undefined, null, "a value"]),
  );
  const numbers = actions.flatMap((action) => (action.do === "compute" ? action.version : []));
  expect(new Set(numbers)).toEqual(new Set([1, 3]));
  expect(all.filter(({ spread }) => spread).length).toBeGreaterThan(70);
});
