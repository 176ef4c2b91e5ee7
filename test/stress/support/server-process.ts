/**
 * The embedded API server as a process of its own, so that a crash or a hang of it is seen as such. Prints one line with
 * what clients need; at the end of its standard input it closes and prints one line with what went wrong inside.
 */
import { join } from 'node:path';
import { type Limits, startApiServer } from '../../../src/apiserver/index.ts';

/** The first line. */
export interface Started {
  readonly url: string;
  readonly socket: string;
  readonly token: string;
  readonly ca: string;
}

/** The last line. */
export interface Ended {
  /** Stacks of what was answered as an internal error, and of failed commits. */
  readonly errors: readonly string[];
  /** Keys that somebody got into `Object.prototype` or `Array.prototype`. */
  readonly pollution: readonly string[];
}

const [stateDir = '', limits = '{}'] = process.argv.slice(2);
const errors: string[] = [];
const socket = join(stateDir, 'api.sock');
const server = await startApiServer({
  stateDir,
  socket,
  limits: JSON.parse(limits) as Partial<Limits>,
  crdsDir: join(import.meta.dirname, '../../../crds'),
  log: { info: () => {}, error: (message, error) => void errors.push(`${message}: ${error.stack}`) },
});
const started: Started = { url: server.url, socket, token: server.adminToken, ca: server.caPem };
console.log(JSON.stringify(started));

process.stdin.resume().once('end', async () => {
  await server.close();
  const keys = (prototype: object): string[] => Object.keys(prototype);
  const ended: Ended = { errors, pollution: [...keys(Object.prototype), ...keys(Array.prototype)] };
  console.log(JSON.stringify(ended));
  process.exit();
});
