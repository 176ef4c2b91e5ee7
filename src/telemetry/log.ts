/**
 * Structured logs by pino: JSON lines, or a readable form when a person looks at a terminal. No worker-thread
 * transports: they lose lines when the process dies.
 */
import { createRequire } from 'node:module';
import type { DestinationStream, Logger as PinoLogger } from 'pino';
import { pino } from 'pino';
import type prettyFactory from 'pino-pretty';
import { cleanText, SECRET_FIELDS } from './redact.ts';

/** What every layer may say to the log: fields first, then a constant sentence. */
export type Logger = Pick<PinoLogger, 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'isLevelEnabled'> & {
  child(fields: Record<string, unknown>): Logger;
};

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface LogOptions {
  /** Default `info`. */
  readonly level?: LogLevel | undefined;
  /** Default: pretty when the destination is a terminal. */
  readonly format?: 'json' | 'pretty' | undefined;
  /** File descriptor (1 or 2) or stream; default standard error, so that standard output stays for results. */
  readonly destination?: 1 | 2 | DestinationStream | undefined;
  /** File that lines are added to instead (0600). */
  readonly file?: string | undefined;
}

/** Makes the root logger of a process. */
export function createLogger(options: LogOptions = {}): Logger {
  const destination =
    options.file === undefined ? (options.destination ?? 2) : pino.destination({ dest: options.file, mode: 0o600 });
  const isTerminal = typeof destination === 'number' && (destination === 1 ? process.stdout : process.stderr).isTTY;
  const pretty = options.format === undefined ? isTerminal : options.format === 'pretty';
  const paths = SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]);
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths, censor: '[redacted]' },
      serializers: { err: (thrown: unknown) => serializeError(thrown) },
    },
    pretty ? prettyStream(destination) : typeof destination === 'number' ? pino.destination(destination) : destination,
  );
}

/** A logger that says nothing, for tests and for callers without one. */
export const silentLogger: Logger = pino({ level: 'silent' });

interface SerializedError {
  readonly name: string;
  readonly message: string;
  readonly reason?: string;
  readonly code?: string | number;
  readonly stack?: string;
  readonly cause?: SerializedError;
}

/** Writes an error with its chain of causes, cleaned; stacks only where the error says nothing but "something broke". */
function serializeError(thrown: unknown, depth = 0): SerializedError {
  if (!(thrown instanceof Error)) return { name: 'NonError', message: cleanText(String(thrown)) };
  const { reason, code } = thrown as { reason?: unknown; code?: unknown };
  return {
    name: thrown.name,
    message: cleanText(thrown.message),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(typeof reason !== 'string' && thrown.stack !== undefined ? { stack: cleanText(thrown.stack) } : {}),
    ...(thrown.cause !== undefined && depth < 4 ? { cause: serializeError(thrown.cause, depth + 1) } : {}),
  };
}

/** Loaded only when a person is watching: a daemon under systemd never pays for it. */
function prettyStream(destination: 1 | 2 | DestinationStream): DestinationStream {
  const require = createRequire(import.meta.url);
  const pretty = require('pino-pretty') as typeof prettyFactory;
  return pretty({ colorize: true, translateTime: 'HH:MM:ss.l', ignore: 'pid,hostname', destination, sync: true });
}
