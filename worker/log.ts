/**
 * Structured logs: one JSON object a line; readable and coloured in development.
 *
 * Field names follow the systems that this store replaces (`asctime`, `name`, `levelname`, `message`). A feature
 * value, an entity value and an API key never are a field.
 */
import { DrizzleQueryError } from "drizzle-orm";
import type { Settings } from "./env.ts";

export const LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogFields = Record<string, string | number | boolean | null | undefined>;

interface LogOptions {
  level: LogLevel;
  readable: boolean;
}

export class Log {
  readonly #options: LogOptions;
  readonly #name: string;

  /** @param name The part of the service that speaks, such as `http` or `entity-writer`. */
  constructor(name: string, options: LogOptions) {
    this.#name = name;
    this.#options = options;
  }

  /** A log with the level and the form that the settings ask for. */
  static of(name: string, { logLevel, isDevelopment }: Settings): Log {
    return new Log(name, { level: logLevel, readable: isDevelopment });
  }

  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#options.level);
  }

  info(message: string, fields?: LogFields): void {
    this.#write("INFO", message, fields);
  }

  warning(message: string, fields?: LogFields, cause?: unknown): void {
    this.#write("WARNING", message, { ...fields, ...describeCause(cause) });
  }

  /** An error nobody expected, once, with its cause and stack. */
  error(message: string, cause: unknown, fields?: LogFields): void {
    this.#write("ERROR", message, { ...fields, ...describeCause(cause) });
  }

  #write(level: LogLevel, message: string, fields: LogFields = {}): void {
    if (!this.enabled(level)) return;
    const line = {
      asctime: new Date().toISOString(),
      name: this.#name,
      levelname: level,
      message,
      ...fields,
    };
    const text = this.#options.readable ? readableLine(line, fields) : JSON.stringify(line);
    console[level === "ERROR" ? "error" : level === "WARNING" ? "warn" : "log"](text);
  }
}

/**
 * An error's name, message and stack. For a failed query only what the engine itself said: drizzle's message holds the
 * SQL and its parameters, which are values.
 */
function describeCause(cause: unknown): LogFields {
  if (cause === undefined) return {};
  if (!(cause instanceof Error)) return { cause: typeof cause };
  const told = cause instanceof DrizzleQueryError && cause.cause instanceof Error ? cause.cause : cause;
  return { cause: `${told.name}: ${told.message}`, stack: told.stack };
}

const COLOURS: Record<LogLevel, string> = {
  DEBUG: "\u001b[90m",
  INFO: "\u001b[32m",
  WARNING: "\u001b[33m",
  ERROR: "\u001b[31m",
};

function readableLine(
  line: { asctime: string; name: string; levelname: LogLevel; message: string },
  { stack, ...fields }: LogFields,
): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `\u001b[90m${key}=\u001b[0m${value}`);
  const head = `\u001b[90m${line.asctime.slice(11, 23)}\u001b[0m ${COLOURS[line.levelname]}${line.levelname}\u001b[0m`;
  const text = [head, line.name, line.message, ...pairs].join(" ");
  return stack ? `${text}\n${stack}` : text;
}
