/** The bundle's size, and what starting it takes. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { unstable_readConfig as readConfig } from "wrangler";
import { root, runWranglerOrExit } from "../wrangler.ts";
import { quiet } from "./processes.ts";
import { atMost, lessThan, type Row, type RowResult } from "./rows.ts";
import { bundleOf } from "./servers.ts";
import { median } from "./statistics.ts";

const MAX_GZIP_KIB = 250;
const MAX_START_MS = 50;

/** The sampled profile of a start, as V8 writes it; times in microseconds. */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string } }[];
  samples: number[];
  timeDeltas: number[];
}

export const bundleRow: Row = {
  name: "bundle",
  async run({ directory, rounds, service, constant, naive }) {
    const gzipKib = gzipSync(readFileSync(join(bundleOf("service"), "index.js"))).length / 1024;
    const starts: number[] = [];
    // What they have left to do of the entities that were written would be part of the time.
    await quiet([service.pid, constant.pid, naive.pid]);
    for (let round = 0; round < rounds; round += 1) starts.push(await startMs(directory));
    const none = { against: "", features: 0, compared: null, levels: [] };
    const size: RowResult = {
      ...none,
      work: "bundle, gzip",
      value: gzipKib,
      unit: "KiB",
      goal: atMost(MAX_GZIP_KIB),
      note: "",
    };
    const start: RowResult = {
      ...none,
      work: "start-up",
      value: median(starts),
      unit: "ms",
      goal: lessThan(MAX_START_MS),
      note: "of `wrangler check startup`: active time",
    };
    return [size, start];
  },
};

/**
 * Milliseconds in which the processor was busy with loading and running the bundle's global scope, as wrangler measures
 * it. Without the bindings of the service, which that cannot have: a global scope may not use them.
 */
async function startMs(directory: string): Promise<number> {
  const file = join(directory, "start.cpuprofile");
  const config = join(directory, "wrangler.toml");
  const { compatibility_date: date } = readConfig({ config: join(root, "wrangler.toml") });
  const main = JSON.stringify(join(bundleOf("service"), "index.js"));
  writeFileSync(config, `name = "bench-start"\nmain = ${main}\ncompatibility_date = "${date}"\n`);
  await runWranglerOrExit(
    ["check", "startup", "--cwd", directory, "--args=--no-bundle", "--outfile", file],
    "The bundle does not start.",
  );
  const profile = JSON.parse(readFileSync(file, "utf8")) as Profile;
  rmSync(file);
  return activeMs(profile);
}

export function activeMs({ nodes, samples, timeDeltas }: Profile): number {
  const idle = new Set(
    nodes.filter(({ callFrame }) => callFrame.functionName === "(idle)").map(({ id }) => id),
  );
  const micros = samples.reduce((sum, node, i) => sum + (idle.has(node) ? 0 : (timeDeltas[i] ?? 0)), 0);
  return micros / 1_000;
}
