/** Lines of StatsD as a server reads them (https://github.com/statsd/statsd/blob/master/docs/metric_types.md), with DogStatsD's tags. */
export interface Sent {
  name: string;
  value: number;
  type: string;
  rate: number;
  tags: Record<string, string>;
}

const LINE =
  /^(?<name>[\w.-]+):(?<value>\d+)\|(?<type>c|ms)(?:\|@(?<rate>\d+(?:\.\d+)?))?(?:\|#(?<tags>[^|\n]+))?$/;
const TAG = /^(?<name>[a-z_]+):(?<value>[^,:]+)$/;

/** @throws when a line is none. */
export function parsePacket(packet: string): Sent[] {
  if (!packet.endsWith("\n")) throw new Error("a packet over TCP ends with a newline");
  return packet.slice(0, -1).split("\n").map(parseLine);
}

export function parseLine(line: string): Sent {
  const { name = "", value, type = "", rate = "1", tags } = LINE.exec(line)?.groups ?? {};
  if (value === undefined) throw new Error(`not a line of StatsD: ${JSON.stringify(line)}`);
  return { name, value: Number(value), type, rate: Number(rate), tags: parseTags(tags) };
}

function parseTags(text: string | undefined): Record<string, string> {
  const pairs = (text?.split(",") ?? []).map((tag) => {
    const { name = "", value = "" } = TAG.exec(tag)?.groups ?? {};
    if (name === "") throw new Error(`not a tag: ${JSON.stringify(tag)}`);
    return [name, value];
  });
  return Object.fromEntries(pairs);
}

/** What a server counts of `name`: a sampled line stands for `1 / rate` of them. */
export const countOf = (sent: readonly Sent[], name: string): number =>
  sent
    .filter((each) => each.name === name)
    .reduce((total, { type, value, rate }) => total + (type === "c" ? value : 1 / rate), 0);
