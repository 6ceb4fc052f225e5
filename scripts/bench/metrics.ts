/** What counting costs: the same hot read with METRICS on and off. */
import { CONNECTIONS, compare, type Side } from "./compare.ts";
import { FEATURES_PER_CATEGORY } from "./data.ts";
import { entityRows, newKey, writeRows } from "./fill.ts";
import { HOT_ENTITIES, hotReads } from "./reads.ts";
import type { Row } from "./rows.ts";
import { migrate, startServer } from "./servers.ts";

export const metricsRow: Row = {
  name: "metrics",
  async run({ service, generator, headers, seconds, rounds, seed, directory, isLate }) {
    await migrate("service", directory, "metrics-off");
    const off = await startServer("service", directory, { name: "metrics-off", vars: { METRICS: "off" } });
    try {
      const offHeaders = await newKey(off);
      await writeRows(off, entityRows(seed, HOT_ENTITIES), { headers: offHeaders });
      const [withMetrics, without] = [hotReads(headers), hotReads(offHeaders)];
      const sides: [Side, Side] = [
        { server: service, requests: () => withMetrics },
        { server: off, requests: () => without },
      ];
      const compared = await compare(generator, sides, {
        rounds,
        seconds,
        connections: CONNECTIONS,
        rate: null,
        isLate,
      });
      return [
        {
          work: "hot read, METRICS on",
          against: "METRICS off",
          features: FEATURES_PER_CATEGORY,
          compared,
          value: compared.ratio,
          unit: "×",
          goal: null,
          levels: [],
          note: "",
        },
      ];
    } finally {
      await off.end();
    }
  },
};
