/** What is known of one entity, category by category. `#/entities/bright_uid/user-123` is its address. */
import { useState } from "preact/hooks";
import { api, type Items } from "./api.ts";
import { json, moment } from "./format.ts";
import { Load, useLoaded } from "./loading.tsx";

interface Asked {
  entityType: string;
  entity: string;
  references: string;
}

/** `a:*, b:x` → `["a:*", "b:x"]`. */
const referencesOf = (text: string) =>
  text
    .split(/[,\n]/)
    .map((reference) => reference.trim())
    .filter((reference) => reference !== "");

const addressOf = ({ entityType, entity, references }: Asked) =>
  `#/entities/${[entityType, entity, ...(references === "" ? [] : [references])].map(encodeURIComponent).join("/")}`;

/** @param place What stands behind `#/entities/`: the entity type, the entity and the features, none of which need be there. */
export function EntityPage({ place }: { place: string[] }) {
  const [entityType = "bright_uid", entity = "", references = ""] = place;
  const asked: Asked = { entityType, entity, references };
  const [typed, setTyped] = useState(asked);
  const [times, setTimes] = useState(0);
  const field = (name: keyof Asked, label: string, placeholder: string) => (
    <label>
      {label}
      <input
        value={typed[name]}
        placeholder={placeholder}
        required={name !== "references"}
        onInput={({ currentTarget }) => setTyped((before) => ({ ...before, [name]: currentTarget.value }))}
      />
    </label>
  );
  return (
    <>
      <h1>Entities</h1>
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          // Another address makes another page; the same one asks again.
          if (location.hash === addressOf(typed)) setTimes(times + 1);
          else location.hash = addressOf(typed);
        }}
      >
        {field("entityType", "Entity type", "bright_uid")}
        {field("entity", "Entity", "user-123")}
        {field("references", "Features", "all, or user_features:*, …")}
        <button type="submit">Read</button>
      </form>
      {entity !== "" && <Answer key={times} {...asked} />}
    </>
  );
}

function Answer({ entityType, entity, references }: Asked) {
  const loaded = useLoaded(() => api.items(entityType, entity, referencesOf(references)), "");
  return <Load loaded={loaded}>{(items) => <Categories items={items} />}</Load>;
}

function Categories({ items }: { items: Items }) {
  const missing = [
    ...items.unavailable_feature_categories.map((category) => `${category}:*`),
    ...Object.entries(items.unavailable_features).flatMap(([category, names]) =>
      names.map((name) => `${category}:${name}`),
    ),
  ];
  return (
    <>
      <p>
        Revision {items.revision}, answered from {items.source}.
        {missing.length > 0 && ` Not there: ${missing.join(", ")}.`}
      </p>
      {Object.entries(items.items).map(([category, { features }]) => (
        <section key={category}>
          <h2>{category}</h2>
          <p class="note">
            created {moment(features.metadata.created_at)}, updated {moment(features.metadata.updated_at)}
          </p>
          <table>
            <tbody>
              {Object.entries(features.data).map(([name, value]) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  <td>
                    <code>{json(value)}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      ))}
    </>
  );
}
