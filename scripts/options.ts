/** The options of a command, and its usage for who asks for it or writes one that there is not. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Ends with 0 after `--help`, and with 1 after what is no option, or has no value; each with the usage. */
export function readOptions<const O extends Options>(usage: string, options: O) {
  helpWhenAsked(usage);
  try {
    return parseArgs({ options }).values;
  } catch (cause) {
    console.error(`${cause instanceof Error ? cause.message : cause}\n${usage}`);
    process.exit(1);
  }
}

export function helpWhenAsked(usage: string): void {
  if (!process.argv.slice(2).some((argument) => argument === "--help" || argument === "-h")) return;
  console.log(usage.trim());
  process.exit(0);
}
