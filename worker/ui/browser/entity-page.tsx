/** What is known of one entity, category by category. */
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

export function EntityPage() {
  const [typed, setTyped] = useState<Asked>({ entityType: "bright_uid", entity: "", references: "" });
  const [asked, setAsked] = useState<{ what: Asked; times: number } | null>(null);
  const field = (name: keyof Asked, label: string, placeholder: string) => (
    <label>
      {label}
      <input
        value={typed[name]}
        placeholder={placeholder}
        required
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
          setAsked({ what: typed, times: (asked?.times ?? 0) + 1 });
        }}
      >
        {field("entityType", "Entity type", "bright_uid")}
        {field("entity", "Entity", "user-123")}
        {field("references", "Features", "user_features:*, credit_features:credit_score")}
        <button type="submit">Read</button>
      </form>
      {asked && <Answer key={asked.times} {...asked.what} />}
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
