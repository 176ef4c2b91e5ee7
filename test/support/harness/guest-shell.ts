/** Commands in a guest, over its network: `guest-commands.ts` runs there and answers. */
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ExecResult } from './exec.ts';

const PORT = 7000;
/** A guest is slow on a busy machine. */
const COMMAND_MS = 90_000;
/** What the guest's console shows when it takes commands. */
export const TAKES_COMMANDS = 'guest: takes commands';

/** The command line of the guest's part. */
export function takeCommands(address: string): string {
  const commands = join(import.meta.dirname, 'guest-commands.ts');
  return `${process.execPath} --disable-warning=ExperimentalWarning ${commands} ${address} ${PORT}`;
}

export class GuestShell {
  readonly #address: string;

  constructor(address: string) {
    this.#address = address;
  }

  /** Runs a command in the guest. Never throws for how it ends. */
  exec(argv: readonly [string, ...string[]], deadline = COMMAND_MS): Promise<ExecResult> {
    return new Promise((resolve, reject) => {
      const socket = connect(PORT, this.#address);
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.setTimeout(deadline + 60_000, () =>
        socket.destroy(new Error(`${argv.join(' ')}: no answer of the guest`)),
      );
      socket.once('error', reject);
      socket.once('close', () => {
        try {
          resolve(JSON.parse(text) as ExecResult);
        } catch {
          reject(new Error(`${argv.join(' ')}: the guest broke off after ${JSON.stringify(text)}`));
        }
      });
      socket.end(JSON.stringify({ argv, deadline }));
    });
  }

  /** Runs a shell script in the guest. @throws Error with its output when it fails. */
  async sh(script: string, deadline?: number): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['sh', '-ec', script], deadline);
    if (code !== 0) throw new Error(`in the guest: ${script}\nended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }
}
