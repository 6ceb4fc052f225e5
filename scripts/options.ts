/** The options of a command, and its usage for who asks for it or writes one that there is not. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Options = NonNullable<ParseArgsConfig["options"]>;

export const MAX_PORT = 65_535;

/** Ends with 0 after `--help`, and with 1 after what is no option, or has no value; each with the usage. */
export function readOptions<const O extends Options>(usage: string, options: O) {
  helpWhenAsked(usage);
  try {
    return parseArgs({ options }).values;
  } catch (cause) {
    return endWith(usage, cause instanceof Error ? cause.message : String(cause));
  }
}

export function helpWhenAsked(usage: string): void {
  if (!process.argv.slice(2).some((argument) => argument === "--help" || argument === "-h")) return;
  console.log(usage.trim());
  process.exit(0);
}

export interface NumberRange {
  least: number;
  most?: number;
  isWhole?: boolean;
}

/** What is wrong with an option that must be a number, as a sentence; null: nothing. Pure. */
export function faultOfNumber(name: string, text: string, range: NumberRange): string | null {
  const { least, most = Number.MAX_SAFE_INTEGER, isWhole = true } = range;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const fits = Number.isFinite(value) && value >= least && value <= most;
  if (fits && (!isWhole || Number.isInteger(value))) return null;
  const upTo = range.most === undefined ? "" : ` to ${most}`;
  return `--${name} must be a ${isWhole ? "whole " : ""}number from ${least}${upTo}, not \`${text}\`.`;
}

/**
 * Reads options that are numbers, without a range whole ones from 1. Ends with 1, the fault and the usage after one that
 * is not.
 *
 * @param values As {@link readOptions} returns them.
 */
export function numbersOf<V extends Record<string, unknown>>(usage: string, values: V) {
  return (name: keyof V & string, range: NumberRange = { least: 1 }): number => {
    const text = String(values[name] ?? "");
    const fault = faultOfNumber(name, text, range);
    return fault === null ? Number(text) : endWith(usage, fault);
  };
}

/**
 * The address of a service, without a slash at its end, or what is wrong with it, as a sentence. It is printed and logged:
 * a user or a password in it never is. Pure.
 */
export function readUrl(text: string): { url: string } | { fault: string } {
  const url = URL.parse(text);
  if (text.includes("@")) {
    return { fault: "--url must have no user and no password: a service takes keys alone, by --key." };
  }
  if (!url || !/^https?:$/.test(url.protocol)) {
    return { fault: `--url must be the http or https address of a service, not \`${text}\`.` };
  }
  return { url: url.href.replace(/\/+$/, "") };
}

/** As {@link readUrl}. Ends with 1, the fault and the usage where there is one. */
export function urlOf(usage: string, text: string): string {
  const address = readUrl(text);
  return "fault" in address ? endWith(usage, address.fault) : address.url;
}

/** Ends with 1, the fault and the usage. */
export function endWith(usage: string, fault: string): never {
  console.error(`${fault}\n${usage}`);
  process.exit(1);
}
