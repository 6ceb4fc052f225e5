/** The catalog: every registered feature, to be searched. */
import { useEffect, useState } from "preact/hooks";
import { api, type Feature, type FeatureFilter, type Refusal } from "./api.ts";
import { dtypeOf } from "./format.ts";
import { Refused, refusalOf } from "./loading.tsx";

const EVERYTHING: FeatureFilter = { q: "", entity_type: "", tag: "" };
/** Typing goes on meanwhile. */
const TYPING_MS = 200;

export function FeaturesPage() {
  const [filter, setFilter] = useState(EVERYTHING);
  const { features, next, refusal, isAsking, more } = useFeatures(filter);
  const field = (name: keyof FeatureFilter, placeholder: string) => (
    <input
      type="search"
      aria-label={placeholder}
      placeholder={placeholder}
      value={filter[name]}
      onInput={({ currentTarget }) => setFilter((before) => ({ ...before, [name]: currentTarget.value }))}
    />
  );
  const isFiltered = Object.values(filter).some((value) => value !== "");
  return (
    <>
      <h1>Features</h1>
      <div class="filters">
        {field("q", "Name or description")}
        {field("entity_type", "Entity type")}
        {field("tag", "Tag")}
      </div>
      {refusal && <Refused refusal={refusal} />}
      {features.length > 0 && <FeatureTable features={features} />}
      {features.length === 0 && !isAsking && !refusal && (isFiltered ? <p>No feature fits.</p> : <NoneYet />)}
      {isAsking && <p class="waiting">Loading…</p>}
      {next !== null && !isAsking && (
        <button type="button" onClick={more}>
          More
        </button>
      )}
    </>
  );
}

function FeatureTable({ features }: { features: Feature[] }) {
  return (
    <table>
      <thead>
        <tr>
          <th>Name</th>
          <th>Type</th>
          <th>Entity type</th>
          <th>Category</th>
          <th>Version</th>
          <th>Tags</th>
          <th>Description</th>
        </tr>
      </thead>
      <tbody>
        {features.map((feature) => (
          <tr key={feature.feature_id}>
            <td>
              <a href={`#/features/${encodeURIComponent(feature.name)}`}>{feature.name}</a>
            </td>
            <td>{dtypeOf(feature)}</td>
            <td>{feature.entity_type}</td>
            <td>{feature.category}</td>
            <td>{feature.version ?? <span class="status draft">none active</span>}</td>
            <td>
              {feature.tags.map((tag) => (
                <span key={tag} class="tag">
                  {tag}
                </span>
              ))}
            </td>
            <td>{feature.description}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function NoneYet() {
  return (
    <p>
      No feature is registered yet. <a href="/docs#/features">POST /api/v1/features/register</a> registers
      one; values may be written and read without that, see <a href="#/entities">Entities</a>. Each tenant
      sees its own: the key of another goes above.
    </p>
  );
}

interface Found {
  features: Feature[];
  /** The cursor of the next page; null: there is none. */
  next: string | null;
  refusal: Refusal | null;
}

/** The features that fit, page after page; answers to an earlier filter are dropped. */
function useFeatures(filter: FeatureFilter) {
  const [found, setFound] = useState<Found>({ features: [], next: null, refusal: null });
  const [asked, setAsked] = useState<{ filter: FeatureFilter; cursor: string | null }>({
    filter,
    cursor: null,
  });
  const [isAsking, setAsking] = useState(true);
  useEffect(() => {
    if (filter === asked.filter) return;
    const timer = setTimeout(() => setAsked({ filter, cursor: null }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [filter, asked]);
  useEffect(() => {
    let isCurrent = true;
    setAsking(true);
    api
      .features(asked.filter, asked.cursor)
      .then(
        ({ features, next_cursor: next }): ((before: Found) => Found) =>
          (before) => ({
            features: asked.cursor === null ? features : [...before.features, ...features],
            next,
            refusal: null,
          }),
        // What is there stays, and may be asked to go on.
        (cause) =>
          (before: Found): Found =>
            asked.cursor === null
              ? { features: [], next: null, refusal: refusalOf(cause) }
              : { ...before, refusal: refusalOf(cause) },
      )
      .then((change) => {
        if (!isCurrent) return;
        setFound(change);
        setAsking(false);
      });
    return () => {
      isCurrent = false;
    };
  }, [asked]);
  return { ...found, isAsking, more: () => setAsked({ filter: asked.filter, cursor: found.next }) };
}
