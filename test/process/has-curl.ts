import { spawnSync } from "node:child_process";

/** What is documented with curl can be run only where there is one; Node and npm do not bring it. */
export const hasCurl = spawnSync("bash", ["-c", "command -v curl"]).status === 0;
