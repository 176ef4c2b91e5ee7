/** Exit codes of the binary; scripts rely on them. */
export const ExitCode = {
  ok: 0,
  /** It was tried and did not work. */
  failed: 1,
  /** The command line, the configuration or a parameter is wrong. */
  usage: 2,
  /** Not done within the time given; it goes on. */
  timeout: 3,
  /** Somebody must act first: busy, attached, refused, stalled. */
  refused: 4,
  /** The control plane does not answer. */
  unavailable: 5,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** An error whose text is meant for the person at the terminal, with the exit code that belongs to it. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.exitCode = exitCode;
  }
}
