import childProcess from "node:child_process";
import { Readable } from "node:stream";
import { Runtime } from "miniflare";

/**
 * Lets workerd write the Worker's console lines to this process's own stdout and stderr. Miniflare would read
 * them from a pipe and print them a moment later, and a kill -9 of both loses the lines in between: a crash
 * test would then miss an event that was handled.
 */
export function printStraightFromRuntime(): void {
  const { spawn } = childProcess;
  childProcess.spawn = ((command: string, args: string[], options: childProcess.SpawnOptions) => {
    const isRuntime = args.includes("--control-fd=3");
    if (!isRuntime) {
      return spawn(command, args, options);
    }
    const child = spawn(command, args, { ...options, stdio: ["pipe", "inherit", "inherit", "pipe"] });
    return Object.assign(child, { stdout: Readable.from([]), stderr: Readable.from([]) });
  }) as typeof childProcess.spawn;

  const { updateConfig } = Runtime.prototype;
  Runtime.prototype.updateConfig = function (config, ...rest) {
    turnOffStructuredLogging(config);
    return updateConfig.call(this, config, ...rest);
  };
}

// `structuredLogging`, which Miniflare always sets, makes every line a JSON object. It is the first bit of the
// root struct of a Cap'n Proto message: a segment table, a pointer to the struct, the struct's data.
function turnOffStructuredLogging(config: Buffer): void {
  const segments = config.readUInt32LE(0) + 1;
  const pointer = 8 * Math.ceil((4 + 4 * segments) / 8);
  const data = pointer + 8 + 8 * (config.readInt32LE(pointer) >> 2);
  config.writeUInt8(config.readUInt8(data) & ~1, data);
}
