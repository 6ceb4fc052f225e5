/** What in a query may see rows of other entities than the one it tells of, and the words for it. Pure. */

export type OthersSeen =
  | { by: "limit" | "group" | "distinct" | "compound" }
  /** `name` is null for one in a subquery over what is not the subquery's own. */
  | { by: "aggregate"; name: string | null }
  | { by: "window"; name: string }
  /** By what is read there; null for a subquery without a name. */
  | { by: "join" | "subquery"; source: string | null }
  | { by: "rowid"; name: string };

/** What it is, and how it could do without. */
export function describeOthersSeen(seen: OthersSeen, entityKey: string): string {
  const key = `\`${entityKey}\``;
  switch (seen.by) {
    case "limit":
      return "LIMIT counts rows of all entities";
    case "group":
      return `a GROUP BY is without ${key}`;
    case "distinct":
      return `DISTINCT is without ${key} among its columns`;
    case "compound":
      return `UNION, INTERSECT and EXCEPT compare rows without ${key} at the same place in each`;
    case "aggregate":
      return seen.name === null
        ? "an aggregate in a subquery is over columns that are not the subquery's alone"
        : `${seen.name.toUpperCase()}(…) without GROUP BY is over all entities`;
    case "window":
      return `the window of ${seen.name.toUpperCase()}(…) OVER is without ${key} itself in PARTITION BY`;
    case "join":
      return `${named(seen.source)} is not joined by equality of ${key}, such as with ON a.${entityKey} = b.${entityKey} or USING (${entityKey})`;
    case "subquery":
      return `a subquery reads ${named(seen.source)} without the condition that its ${key} is that of the row around it, such as FROM data x WHERE x.${entityKey} = data.${entityKey}`;
    case "rowid":
      return `${seen.name}, which counts the rows of all entities, is read other than to sort by it`;
  }
}

const named = (source: string | null) => (source === null ? "a subquery" : `\`${source}\``);
