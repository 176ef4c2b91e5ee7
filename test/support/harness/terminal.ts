/** A program on a terminal of its own (a pseudo-terminal, by script(1) of util-linux), as a person sits at one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { waitFor } from './wait.ts';

export interface TerminalOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

export class Terminal {
  readonly #child: ChildProcess;
  #output = '';
  #hasEnded = false;

  /** @param command for a shell. */
  constructor(command: string, { env = {}, cwd }: TerminalOptions = {}) {
    this.#child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
      env: { ...process.env, TERM: 'dumb', ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#child.stdin?.on('error', () => undefined); // it may have ended
    this.#child.once('close', () => {
      this.#hasEnded = true;
    });
  }

  /** Everything that was on the screen. */
  get output(): string {
    return this.#output;
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits until the screen shows it. */
  async shows(what: RegExp): Promise<string> {
    await waitFor(() => what.test(this.#output), { message: `${what} on the terminal`, instead: () => this.#output });
    return this.#output;
  }

  /** Waits until the program has ended by itself; returns what was on the screen. */
  async ended(): Promise<string> {
    await waitFor(() => this.#hasEnded, {
      deadline: 150_000,
      message: 'the program to end',
      instead: () => this.#output,
    });
    return this.#output;
  }

  /** Ends it, whatever it does. */
  async kill(): Promise<void> {
    const { pid } = this.#child;
    if (!this.#hasEnded && pid !== undefined) process.kill(-pid, 'SIGKILL');
    await this.ended();
  }
}
