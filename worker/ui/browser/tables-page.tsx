/** Raw tables, from which features are computed. */
import { api } from "./api.ts";
import { moment } from "./format.ts";
import { Load, useLoaded } from "./loading.tsx";

const kept = (days: number | null) => days !== null && `, kept for ${days} days`;

export function TablesPage() {
  const loaded = useLoaded(api.rawTables, "");
  return (
    <>
      <h1>Raw tables</h1>
      <Load loaded={loaded}>
        {({ raw_tables: tables }) =>
          tables.length === 0 ? (
            <p>
              There is no raw table yet. <a href="/docs#/raw%20tables">POST /api/v1/raw-tables</a> registers
              one.
            </p>
          ) : (
            <table>
              <thead>
                <tr>
                  <th>Id</th>
                  <th>Name</th>
                  <th>Columns</th>
                  <th>Description</th>
                  <th>Registered</th>
                </tr>
              </thead>
              <tbody>
                {tables.map((table) => (
                  <tr key={table.id}>
                    <td>{table.id}</td>
                    <td>{table.name}</td>
                    <td>
                      {Object.entries(table.schema_definition).map(([column, type]) => (
                        <span key={column} class="tag">
                          {column} {type}
                          {column === table.timestamp_column && ", event time"}
                          {column === table.timestamp_column && kept(table.retention_days)}
                        </span>
                      ))}
                    </td>
                    <td>{table.description}</td>
                    <td>{moment(table.created_at)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Load>
    </>
  );
}
