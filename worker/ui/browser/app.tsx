/** The pages, by what stands behind the `#` of the address; and who asks. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { apiKey } from "./api.ts";
import { EntityPage } from "./entity-page.tsx";
import { FeaturePage } from "./feature-page.tsx";
import { FeaturesPage } from "./features-page.tsx";
import { TablesPage } from "./tables-page.tsx";

/** `#/features/user_age` → `["features", "user_age"]`. */
function placeOf(hash: string): string[] {
  try {
    return hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    return [];
  }
}

function App() {
  const [hash, setHash] = useState(location.hash);
  const [key, setKey] = useState(apiKey.get());
  useEffect(() => {
    const moved = () => setHash(location.hash);
    addEventListener("hashchange", moved);
    // It may have moved before anybody listened.
    moved();
    return () => removeEventListener("hashchange", moved);
  }, []);
  const [section = "", ...names] = placeOf(hash);
  const use = (next: string) => {
    apiKey.set(next);
    setKey(next);
  };
  return (
    <>
      <header>
        <a class="brand" href="#/">
          Edge feature store
        </a>
        <nav>
          <Section at="#/" is={section === "" || section === "features"} name="Features" />
          <Section at="#/entities" is={section === "entities"} name="Entities" />
          <Section at="#/raw-tables" is={section === "raw-tables"} name="Raw tables" />
          <a href="/docs">API</a>
        </nav>
        <KeyField value={key} use={use} />
      </header>
      {/* Another key may see other things: everything is asked again. */}
      <main key={key}>
        <Page section={section} names={names} />
      </main>
    </>
  );
}

function Page({ section, names }: { section: string; names: string[] }) {
  const [name] = names;
  if (section === "entities") return <EntityPage key={names.join("/")} place={names} />;
  if (section === "raw-tables") return <TablesPage />;
  if (section === "features" && name !== undefined) return <FeaturePage key={name} name={name} />;
  return <FeaturesPage />;
}

function Section({ at, is, name }: { at: string; is: boolean; name: string }) {
  return (
    <a href={at} aria-current={is ? "page" : undefined}>
      {name}
    </a>
  );
}

function KeyField({ value, use }: { value: string; use: (key: string) => void }) {
  const [typed, setTyped] = useState(value);
  return (
    <form
      class="key"
      onSubmit={(event) => {
        event.preventDefault();
        use(typed.trim());
      }}
    >
      <input
        type="password"
        aria-label="API key"
        placeholder="API key"
        autocomplete="off"
        value={typed}
        onInput={({ currentTarget }) => setTyped(currentTarget.value)}
      />
      <button type="submit">{value !== "" && typed === value ? "In use" : "Use"}</button>
    </form>
  );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
