/** A registered feature: what it is, how it does, its versions, and its value for an entity. */
import { useState } from "preact/hooks";
import { api, apiKey, type Feature, type Numbers, type Stats, type Version } from "./api.ts";
import { age, bars, curl, dtypeOf, exactSpan, moment, number } from "./format.ts";
import { Load, useLoaded } from "./loading.tsx";
import { LookUp } from "./look-up.tsx";

export function FeaturePage({ name }: { name: string }) {
  const loaded = useLoaded(() => api.feature(name), name);
  return <Load loaded={loaded}>{(feature) => <Shown feature={feature} />}</Load>;
}

function Shown({ feature }: { feature: Feature }) {
  const newest = feature.versions.at(-1)?.version ?? null;
  const [version, setVersion] = useState(feature.version ?? newest);
  return (
    <>
      <h1>{feature.name}</h1>
      {feature.description && <p>{feature.description}</p>}
      <dl class="facts">
        <Fact name="Type" value={dtypeOf(feature)} />
        <Fact name="Entity type" value={feature.entity_type} />
        <Fact name="Category" value={feature.category} />
        <Fact name="Owner" value={feature.owner ?? "–"} />
        <Fact name="Tags" value={feature.tags.join(", ") || "–"} />
        <Fact name="Registered" value={moment(feature.created_at)} />
      </dl>
      <h2>Versions</h2>
      {version === null ? (
        <p>There is no version yet.</p>
      ) : (
        <Versions versions={feature.versions} shown={version} show={setVersion} />
      )}
      {feature.computation_logic && (
        <>
          <h2>Computed by</h2>
          <pre>{feature.computation_logic}</pre>
        </>
      )}
      {version !== null && <OfVersion key={version} feature={feature} version={version} />}
    </>
  );
}

function OfVersion({ feature, version }: { feature: Feature; version: number }) {
  const reference = version === feature.version ? feature.name : `${feature.name}@${version}`;
  return (
    <>
      <h2>The last 24 hours of version {version}</h2>
      <Statistics name={feature.name} version={version} />
      <h2>Its value</h2>
      <LookUp entityType={feature.entity_type} reference={reference} />
      <h2>Read it</h2>
      <Commands feature={feature} reference={reference} />
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Versions({
  versions,
  shown,
  show,
}: {
  versions: Version[];
  shown: number;
  show: (version: number) => void;
}) {
  return (
    <table>
      <thead>
        <tr>
          <th>Version</th>
          <th>Status</th>
          <th>Type</th>
          <th>TTL</th>
          <th>Default</th>
          <th>Created</th>
          <th>Computed</th>
        </tr>
      </thead>
      <tbody>
        {versions.map((each) => (
          <tr key={each.version} aria-current={each.version === shown ? "true" : undefined}>
            <td>
              <button type="button" class="link" onClick={() => show(each.version)}>
                {each.version}
              </button>
            </td>
            <td>
              <span class={`status ${each.status}`}>{each.status}</span>
            </td>
            <td>{each.dtype}</td>
            <td>{each.ttl_seconds === null ? "–" : exactSpan(each.ttl_seconds)}</td>
            <td>{each.default_value === null ? "–" : <code>{JSON.stringify(each.default_value)}</code>}</td>
            <td>{moment(each.created_at)}</td>
            <td>{computationOf(each)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function computationOf({ computation }: Version) {
  if (!computation) return "–";
  if (computation.last_error) return <span class="refused">{computation.last_error}</span>;
  return computation.computed_at ? moment(computation.computed_at) : "–";
}

function Statistics({ name, version }: { name: string; version: number }) {
  const loaded = useLoaded(() => api.stats(name, version), `${name}@${version}`);
  return (
    <Load loaded={loaded}>
      {(stats) => (
        <>
          <dl class="facts">
            <Fact name="Values" value={number(stats.totals.values)} />
            <Fact name="Nulls" value={percentage(stats.totals.null_rate)} />
            <Fact name="Least" value={number(stats.totals.min)} />
            <Fact name="Mean" value={number(stats.totals.mean)} />
            <Fact name="Most" value={number(stats.totals.max)} />
            <Fact
              name="Newest event"
              value={stats.freshness_seconds === null ? "–" : age(stats.freshness_seconds)}
            />
            <Fact name="Last write" value={stats.last_write ? moment(stats.last_write) : "–"} />
          </dl>
          <Chart stats={stats} />
          {stats.columns && <Columns columns={stats.columns} />}
        </>
      )}
    </Load>
  );
}

/** Of a vector. */
function Columns({ columns }: { columns: Record<string, Numbers> }) {
  return (
    <table>
      <thead>
        <tr>
          <th>Column</th>
          <th>Values</th>
          <th>Nulls</th>
          <th>Least</th>
          <th>Mean</th>
          <th>Most</th>
        </tr>
      </thead>
      <tbody>
        {Object.entries(columns).map(([name, numbers]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{number(numbers.values)}</td>
            <td>{percentage(numbers.null_rate)}</td>
            <td>{number(numbers.min)}</td>
            <td>{number(numbers.mean)}</td>
            <td>{number(numbers.max)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const percentage = (rate: number | null) => (rate === null ? "–" : `${number(rate * 100)} %`);

const BAR = { width: 18, gap: 4, height: 80 };

function Chart({ stats }: { stats: Stats }) {
  const all = bars(stats.hours, stats.timestamp);
  const width = all.length * (BAR.width + BAR.gap);
  return (
    <svg
      class="chart"
      viewBox={`0 0 ${width} ${BAR.height}`}
      preserveAspectRatio="xMinYMid"
      role="img"
      aria-label="Values written in each hour"
    >
      {all.map(({ hour, values, height, nulls }, i) => (
        <g key={hour} transform={`translate(${i * (BAR.width + BAR.gap)} 0)`}>
          <title>{`${moment(hour)}: ${number(values)} values`}</title>
          <rect class="hour" width={BAR.width} height={BAR.height} />
          <rect class="values" width={BAR.width} y={BAR.height * (1 - height)} height={BAR.height * height} />
          <rect class="nulls" width={BAR.width} y={BAR.height * (1 - nulls)} height={BAR.height * nulls} />
        </g>
      ))}
    </svg>
  );
}

function Commands({ feature, reference }: { feature: Feature; reference: string }) {
  const isKeyNeeded = apiKey.get() !== "";
  const names = { entity_type: feature.entity_type, feature_names: [reference] };
  return (
    <>
      <p>Online, the newest value:</p>
      <pre>{curl(location.origin, "/features/online", { entity_id: "…", ...names }, isKeyNeeded)}</pre>
      <p>For training, as it was at a time:</p>
      <pre>
        {curl(
          location.origin,
          "/features/batch",
          { rows: [{ entity_id: "…", timestamp: new Date().toISOString() }], ...names },
          isKeyNeeded,
        )}
      </pre>
    </>
  );
}
