import type { Headers } from "./data.ts";
import type { Generator } from "./generate-load.ts";
import type { Server } from "./servers.ts";

/** What every row of the bench works with. */
export interface Setting {
  service: Server;
  constant: Server;
  naive: Server;
  generator: Generator;
  headers: Headers;
  seed: number;
  /** Of one measurement. */
  seconds: number;
  /** Of every comparison: A B, as often. */
  rounds: number;
  /** Written before the first row. */
  entities: number;
  /** True once there is no time for more than one round of what is left: the bench ends within its minutes. */
  isLate: () => boolean;
  /** True once there is no time for other loads either. */
  isOver: () => boolean;
  /** For servers of a row's own. */
  directory: string;
}
