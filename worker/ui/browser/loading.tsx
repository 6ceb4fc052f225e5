/** What a page shows of a question to the API: that it waits, what went wrong, or the answer. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Refusal } from "./api.ts";

type Loaded<T> =
  | { state: "waiting" }
  | { state: "refused"; refusal: Refusal }
  | { state: "there"; answer: T };

/** Asks when the page appears and whenever `asked` changes; an answer to an earlier question is dropped. */
export function useLoaded<T>(ask: () => Promise<T>, asked: string): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "waiting" });
  // `ask` is another function each time; `asked` says what it asks.
  useEffect(() => {
    let isCurrent = true;
    setLoaded({ state: "waiting" });
    ask().then(
      (answer) => isCurrent && setLoaded({ state: "there", answer }),
      (cause) => isCurrent && setLoaded({ state: "refused", refusal: refusalOf(cause) }),
    );
    return () => {
      isCurrent = false;
    };
  }, [asked]);
  return loaded;
}

export function refusalOf(cause: unknown): Refusal {
  return cause instanceof Refusal ? cause : new Refusal(0, String(cause));
}

export function Refused({ refusal }: { refusal: Refusal }) {
  return (
    <p class="refused" role="alert">
      {refusal.message}
      {refusal.status === 401 && ". Paste one above, under “API key”."}
    </p>
  );
}

/** @param children Makes what is shown of the answer. */
export function Load<T>({
  loaded,
  children,
}: {
  loaded: Loaded<T>;
  children: (answer: T) => ComponentChildren;
}) {
  if (loaded.state === "waiting") return <p class="waiting">Loading…</p>;
  if (loaded.state === "refused") return <Refused refusal={loaded.refusal} />;
  return <>{children(loaded.answer)}</>;
}
