/** The value of a feature for one entity, read online as a model would. */
import { useState } from "preact/hooks";
import { api, type Online } from "./api.ts";
import { json, moment, span } from "./format.ts";
import { Load, useLoaded } from "./loading.tsx";

export function LookUp({ entityType, reference }: { entityType: string; reference: string }) {
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState({ entity: "", times: 0 });
  return (
    <>
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          if (typed !== "") setAsked({ entity: typed, times: asked.times + 1 });
        }}
      >
        <input
          aria-label={`A ${entityType}`}
          placeholder={entityType}
          value={typed}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
        />
        <button type="submit">Look up</button>
      </form>
      {asked.times > 0 && (
        <Value key={asked.times} entityType={entityType} entity={asked.entity} reference={reference} />
      )}
    </>
  );
}

function Value({ entityType, entity, reference }: { entityType: string; entity: string; reference: string }) {
  const loaded = useLoaded(() => api.online(entityType, entity, reference), entity);
  return <Load loaded={loaded}>{(online) => <Answered online={online} reference={reference} />}</Load>;
}

function Answered({ online, reference }: { online: Online; reference: string }) {
  const found = online.features[reference];
  if (!found) return null;
  return (
    <>
      <pre class="value">{json(found.value, 2)}</pre>
      <p>
        <span class={`status ${found.status}`}>{found.status}</span>
        {found.timestamp !== null && ` true since ${moment(found.timestamp)}`}
        {found.freshness_seconds !== null && `, for ${span(found.freshness_seconds)}`}
        {`; answered from ${online.source}`}
        {online.revision !== null && `, revision ${online.revision} of the entity`}
      </p>
    </>
  );
}
