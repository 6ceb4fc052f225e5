/** A bar that is drawn over itself on a terminal, and a line at every tenth elsewhere. */
const WIDTH = 30;
const REDRAW_MS = 100;

export class Progress {
  readonly #total: number;
  readonly #unit: string;
  readonly #startedMs = performance.now();
  #done = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #printedTenths = 0;

  constructor(total: number, unit: string) {
    this.#total = total;
    this.#unit = unit;
    this.add(0);
  }

  get seconds(): number {
    return (performance.now() - this.#startedMs) / 1_000;
  }

  /** @param note What else is to be told. */
  add(count: number, note = ""): void {
    this.#done += count;
    const share = this.#total === 0 ? 1 : this.#done / this.#total;
    const text = `${Math.floor(share * 100)}%  ${this.#done}/${this.#total} ${this.#unit}, ${Math.round(this.#done / this.seconds)} a second${note}`;
    if (process.stdout.isTTY) this.#draw(share, text);
    else this.#print(share, text);
  }

  #draw(share: number, text: string): void {
    const now = performance.now();
    if (share < 1 && now - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = now;
    const bar = "█".repeat(Math.floor(share * WIDTH)).padEnd(WIDTH, "░");
    // The rest of the line is cleared: a shorter text must not leave the end of a longer one.
    process.stdout.write(`\r${bar} ${text}\x1b[K${share < 1 ? "" : "\n"}`);
  }

  #print(share: number, text: string): void {
    const tenths = Math.floor(share * 10);
    if (tenths === this.#printedTenths) return;
    this.#printedTenths = tenths;
    console.log(text);
  }
}
