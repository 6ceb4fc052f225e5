/** Whoever judges the schedules finds what is planted, and nothing in what is right. */
import { describe, expect, test } from "vitest";
import { eventOf } from "../../../worker/events/feature-available.ts";
import { type AnnouncedRow, Deliveries, type Delivery } from "./deliveries.ts";
import { Rows, type StoredRow } from "./rows.ts";
import { FILTERS, OBJECTS, scheduleOf } from "./schedule.ts";
import { faultOfVector, groupsOf, type StoredVector, type Version, writtenOfErased } from "./vectors.ts";

const DAY_MS = 86_400_000;
const NOW_MS = Date.UTC(2037, 0, 10);
const timeOf = (ageMs: number) => new Date(NOW_MS - ageMs).toISOString();
const planned = (amount: number, user = "u1") => ({ user, amount, atSecond: null, added: {} });
const stored = (amount: number, ageMs = 1_000, user = "u1"): StoredRow => ({
  user,
  amount,
  at: timeOf(ageMs),
  bonus: null,
  level: null,
});

/** What is complained of when rows of a table that keeps them for a day are seen like this. */
function complaintsOf(watch: (rows: Rows) => void, retentionDays: number | null = 1): string[] {
  const complaints: string[] = [];
  const rows = new Rows((text) => complaints.push(text), retentionDays);
  rows.send(1, [planned(1), planned(2)]);
  rows.send(2, [planned(3)]);
  watch(rows);
  rows.everythingKept();
  rows.everythingAged(NOW_MS);
  return complaints;
}

const all = [stored(1), stored(2), stored(3)];

describe("of rows", () => {
  test.each<[string, (rows: Rows) => void]>([
    [
      "ingests whole and once",
      (rows) => {
        rows.see(all.slice(0, 2), NOW_MS);
        rows.acknowledge(1, { ingested: 2, total: 2 });
        rows.see(all, NOW_MS);
        rows.acknowledge(2, { ingested: 1, total: 3 });
      },
    ],
    [
      "a row that is too old goes",
      (rows) => {
        rows.see([stored(1, 2 * DAY_MS), stored(2)], NOW_MS);
        rows.see([stored(2)], NOW_MS);
      },
    ],
    [
      "one goes by the retention of before, until the change is acknowledged",
      (rows) => {
        rows.see([stored(1, 2 * DAY_MS), stored(2)], NOW_MS);
        rows.retain(3);
        rows.see([stored(2)], NOW_MS);
      },
    ],
    [
      "those of a user go who is erased, and what comes behind that stays",
      (rows) => {
        rows.see(all.slice(0, 2), NOW_MS);
        const erasure = rows.erase("u1");
        rows.see([], NOW_MS);
        rows.erased(erasure, 2);
        erasure.until = rows.now;
        rows.see([stored(3)], NOW_MS);
      },
    ],
    [
      "an erasure that was cut off is still at it",
      (rows) => {
        rows.erase("u1");
        rows.see(all, NOW_MS);
        rows.see([], NOW_MS);
      },
    ],
    [
      "those of a dropped table go",
      (rows) => {
        rows.see(all, NOW_MS);
        rows.isDropped = true;
        rows.see([], NOW_MS);
      },
    ],
  ])("nothing is complained of where %s", (_, watch) => expect(complaintsOf(watch)).toEqual([]));

  test.each<[string, RegExp, (rows: Rows) => void]>([
    ["half an ingest", /not there as a whole/, (rows) => rows.see([stored(1)], NOW_MS)],
    ["a row twice", /is there twice/, (rows) => rows.see([...all, stored(1)], NOW_MS)],
    [
      "a row that comes again after it went",
      /come once more/,
      (rows) => {
        for (const seen of [[stored(3, 2 * DAY_MS)], [], [stored(3)]]) rows.see(seen, NOW_MS);
      },
    ],
    ["a row that nobody sent", /nobody has sent/, (rows) => rows.see([...all, stored(4)], NOW_MS)],
    ["a row of another", /is another/, (rows) => rows.see([stored(3, 0, "u2")], NOW_MS)],
    [
      "an ingest that was acknowledged and is not there",
      /is not there/,
      (rows) => rows.acknowledge(2, { ingested: 1, total: 1 }),
    ],
    [
      "a wrong number of rows",
      /there are 5 rows/,
      (rows) => {
        rows.see([stored(3)], NOW_MS);
        rows.acknowledge(2, { ingested: 1, total: 5 });
      },
    ],
    [
      "a young row that has gone",
      /row 3 has gone/,
      (rows) => {
        rows.see(all, NOW_MS);
        rows.see(all.slice(0, 2), NOW_MS);
      },
    ],
    [
      "a row without a time that has gone",
      /row 3 has gone/,
      (rows) => {
        rows.see([{ ...stored(3), at: null }], NOW_MS);
        rows.see([], NOW_MS);
      },
    ],
    [
      "a row that goes by a retention that is no more",
      /row 3 has gone/,
      (rows) => {
        const before = rows.retention;
        rows.see([stored(3, 2 * DAY_MS)], NOW_MS);
        rows.retain(3);
        rows.retained(3, before);
        rows.see([], NOW_MS);
      },
    ],
    [
      "a retention that was acknowledged and is not registered",
      /is not registered/,
      (rows) => rows.retained(3, rows.retention),
    ],
    ["an old row that is left", /row 3 is still there/, (rows) => rows.see([stored(3, 2 * DAY_MS)], NOW_MS)],
    [
      "a row of another user that goes with an erasure",
      /row 3 has gone/,
      (rows) => {
        rows.see(all, NOW_MS);
        rows.erase("u2");
        rows.see(all.slice(0, 2), NOW_MS);
      },
    ],
    [
      "a row that goes behind the end of an erasure",
      /row 3 has gone/,
      (rows) => {
        const erasure = rows.erase("u1");
        rows.erased(erasure, 0);
        erasure.until = rows.now;
        rows.see([stored(3)], NOW_MS);
        rows.see([], NOW_MS);
      },
    ],
    [
      "a row that is still there behind its erasure",
      /rows 2 of u1 were erased and are still there/,
      (rows) => {
        rows.see(all.slice(0, 2), NOW_MS);
        const erasure = rows.erase("u1");
        rows.see([stored(2)], NOW_MS);
        rows.erased(erasure, 1);
      },
    ],
    [
      "more erased rows than there were",
      /4 rows of u1 were erased, of 3/,
      (rows) => {
        rows.see(all, NOW_MS);
        const erasure = rows.erase("u1");
        rows.see([], NOW_MS);
        rows.erased(erasure, 4);
      },
    ],
    [
      "rows of a dropped table",
      /dropped table are left/,
      (rows) => {
        rows.see(all, NOW_MS);
        rows.isDropped = true;
      },
    ],
  ])("%s is found", (_, expected, watch) => {
    expect(complaintsOf(watch).join("\n")).toMatch(expected);
  });
});

describe("of vectors", () => {
  const version: Version = { feature: "stream", version: 1 };
  const moments = [[], [stored(1)], [stored(1), stored(2)]];
  const of = (n: number, total: number): StoredVector => ({
    data: JSON.stringify({ n, total }),
    eventTime: (NOW_MS - 1_000) * 1_000,
  });
  const faultOf = (over: Partial<Parameters<typeof faultOfVector>[0]>) =>
    faultOfVector({ version, user: "u1", stored: of(2, 3), moments, isTimed: true, since: 2, ...over });

  test("one of the rows that it must know is right, and of later ones", () => {
    expect(faultOf({})).toBeNull();
    expect(faultOf({ since: 1 })).toBeNull();
    expect(faultOf({ since: null, stored: null })).toBeNull();
  });

  test("an older one is right where all rows have gone since, or where its time is newer", () => {
    const gone = [...moments, []];
    expect(faultOf({ moments: gone, stored: of(1, 1) })).toBeNull();
    const older = [[stored(1)], [stored(2, 5_000)]];
    expect(faultOf({ moments: older, since: 1, stored: of(1, 1) })).toBeNull();
    expect(faultOf({ moments: older, since: 1, stored: of(1, 1), isTimed: false })).not.toBeNull();
  });

  test.each([
    ["that was never written", { stored: null }],
    ["of older rows", { stored: of(1, 1) }],
    ["of no rows that ever were", { stored: of(2, 4), since: null }],
  ])("one %s is found", (_, over) => expect(faultOf(over)).not.toBeNull());

  test("what was written after an erasure is of rows that have been there since", () => {
    const moments = [[stored(1), stored(2)], [], [stored(3)]];
    const row = (id: string, data: object, over = {}) => {
      return { id, user: "u1", category: "stream", data: JSON.stringify(data), ...over };
    };
    const faults = (...written: ReturnType<typeof row>[]) =>
      writtenOfErased({ user: "u1", since: 1, known: new Set(["a"]) }, { written, moments });
    const [before, since] = [
      { n: 2, total: 3 },
      { n: 1, total: 3 },
    ];
    expect(faults(row("a", before), row("b", since), row("c", before, { user: "u2" }))).toEqual([]);
    expect(faults(row("b", before)).join()).toMatch(
      /stream of u1 was written as .* after its rows were erased/,
    );
    expect(faults(row("b", { n: 2, top: 2 }, { category: "stream@2" }))).toHaveLength(1);
    expect(faults(row("b", { n: 1, top: 3 }, { category: "stream@2" }))).toEqual([]);
  });

  test("a result has a row for each user, and one for none where the SQL lets it through", () => {
    const rows = [stored(1), stored(2, 0, "u2"), { ...stored(3), user: null }];
    expect(groupsOf(version, rows)).toBe(3);
    expect(groupsOf({ feature: "manual", version: 1 }, rows)).toBe(2);
  });
});

describe("of deliveries", () => {
  const row = (revision: number, entityValue = "u1"): AnnouncedRow => ({
    eventId: `00000000-0000-4000-8000-00000000000${revision}`,
    entityType: "user",
    entityValue,
    category: "stream",
    revision,
    ingestedAt: 0,
    names: ["n"],
  });
  const event = (of: AnnouncedRow) =>
    eventOf(
      "tenant",
      { entityType: of.entityType, entityValue: of.entityValue },
      {
        ...of,
        eventTime: 0,
        computeId: null,
      },
    );
  const sender = { isAlive: true };
  const delivery = (of: AnnouncedRow, over: Partial<Delivery> = {}): Delivery => ({
    subscription: "s",
    sender,
    event: event(of),
    waitingBefore: 0,
    isOver: false,
    ...over,
  });
  const [one, two] = [row(1), row(2)];

  /** Both events are announced at step 10 to a subscription of step 5. */
  function complaints(watch: (deliveries: Deliveries) => void, rows = [one, two]): string[] {
    const told: string[] = [];
    const deliveries = new Deliveries((text) => told.push(text));
    deliveries.created("s", FILTERS[1], 5);
    for (const of of [one, two]) deliveries.announce(event(of), 10);
    watch(deliveries);
    deliveries.everythingEnded(rows);
    return told;
  }

  function deliver(deliveries: Deliveries, of: AnnouncedRow, at = 20): void {
    const own = delivery(of);
    deliveries.begin(own);
    deliveries.accept(own, at);
    deliveries.end(own, at + 1);
  }
  const both = (deliveries: Deliveries) => [one, two].forEach((of) => void deliver(deliveries, of));

  test.each<[string, (deliveries: Deliveries) => void]>([
    ["each comes once", both],
    ["one comes again", (deliveries) => [both, both].forEach((again) => void again(deliveries))],
    ["a subscription is deleted", (deliveries) => deliveries.change("s", { deleted: "perhaps" })],
    [
      "a dead sender's delivery is under way still",
      (deliveries) => {
        deliveries.begin(delivery(one, { sender: { isAlive: false } }));
        both(deliveries);
      },
    ],
    [
      "a replay repeats",
      (deliveries) => {
        both(deliveries);
        deliveries.replayed("s", [one], 30);
        deliver(deliveries, one, 40);
      },
    ],
    [
      "a replay finds one under way",
      (deliveries) => {
        both(deliveries);
        deliveries.replayed("s", [two], 21);
      },
    ],
    [
      "nobody wants it",
      (deliveries) => {
        both(deliveries);
        deliveries.created("plain", FILTERS[2], 5);
      },
    ],
    [
      "it came before the subscription",
      (deliveries) => {
        both(deliveries);
        deliveries.created("later", FILTERS[0], 10);
      },
    ],
  ])("nothing is complained of where %s", (_, watch) => expect(complaints(watch)).toEqual([]));

  test.each<[string, RegExp, (deliveries: Deliveries) => void]>([
    [
      "one that never comes",
      /never got event of user\/u1\/stream 2/,
      (deliveries) => deliver(deliveries, one),
    ],
    [
      "one that is not taken",
      /never got/,
      (deliveries) => {
        deliver(deliveries, one);
        deliveries.begin(delivery(two));
      },
    ],
    [
      "one before a lower revision",
      /before a lower revision/,
      (deliveries) => {
        both(deliveries);
        deliveries.begin(delivery(two, { waitingBefore: 1 }));
      },
    ],
    [
      "two of an entity at once",
      /while another of its entity/,
      (deliveries) => {
        both(deliveries);
        for (const of of [one, two]) deliveries.begin(delivery(of));
      },
    ],
    [
      "one to who is paused",
      /which is paused/,
      (deliveries) => {
        deliveries.change("s", { paused: "yes" });
        both(deliveries);
      },
    ],
    [
      "one to who is gone",
      /which is deleted/,
      (deliveries) => {
        deliveries.change("s", { deleted: "yes" });
        both(deliveries);
      },
    ],
    [
      "one that is not wanted",
      /is nothing for/,
      (deliveries) => {
        both(deliveries);
        deliveries.created("plain", FILTERS[2], 5);
        deliveries.begin(delivery(one, { subscription: "plain" }));
      },
    ],
    [
      "a replay that leaves one out",
      /a replay has not sent stream 2/,
      (deliveries) => {
        both(deliveries);
        deliveries.replayed("s", [one, two], 30);
        deliver(deliveries, one, 40);
      },
    ],
  ])("%s is found", (_, expected, watch) => expect(complaints(watch).join("\n")).toMatch(expected));

  test("an event of another row, or of none, and a row without one are found", () => {
    expect(complaints(both, [one, { ...two, names: ["n", "m"] }]).join()).toMatch(/2 is of no row/);
    expect(complaints(both, [one]).join()).toMatch(/2 is of no row/);
    expect(complaints(both, [one, two, row(3)]).join()).toMatch(/no event of user\/u1\/stream 3/);
  });
});

test("a schedule is the same for the same seed, another for another; among many there is all that users do", () => {
  expect(scheduleOf(9)).toEqual(scheduleOf(9));
  expect(scheduleOf(10).operations).not.toEqual(scheduleOf(9).operations);
  const actions = Array.from({ length: 200 }, (_, seed) => scheduleOf(seed).operations).flat();
  const done = new Set(actions.map(({ action }) => action.do));
  expect(done.size).toBe(17);
  const evicted = new Set(actions.flatMap(({ action }) => (action.do === "evict" ? action.object : [])));
  expect(evicted).toEqual(new Set(OBJECTS));
});
