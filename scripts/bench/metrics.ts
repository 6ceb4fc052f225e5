/** What counting costs: the same hot read with METRICS on and off. */
import { CONNECTIONS, compare, type Side } from "./compare.ts";
import { FEATURES_PER_CATEGORY } from "./data.ts";
import { otherService } from "./other-service.ts";
import { HOT_ENTITIES, hotReads } from "./reads.ts";
import { ROUNDS_FOR_INFORMATION, type Row } from "./rows.ts";

export const metricsRow: Row = {
  name: "metrics",
  async run(setting) {
    const { service, generator, headers, seconds, isLate } = setting;
    const other = { name: "metrics-off", vars: { METRICS: "off" }, entities: HOT_ENTITIES };
    const { server: off, headers: offHeaders } = await otherService(setting, other);
    const [withMetrics, without] = [hotReads(headers), hotReads(offHeaders)];
    const sides: [Side, Side] = [
      { server: service, requests: () => withMetrics },
      { server: off, requests: () => without },
    ];
    const compared = await compare(generator, sides, {
      rounds: ROUNDS_FOR_INFORMATION,
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
  },
};
