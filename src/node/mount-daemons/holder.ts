/**
 * The mount holder: starts the processes of mounts on behalf of the agent of its node, in its own cgroup and its own
 * namespaces, so that they outlive the agent's pod. It keeps nothing: who runs for which volume is written down in the
 * directory of that volume, by the process itself, and the agent finds it there. So it may be killed at any moment; what
 * it has started lives on, unless its whole cgroup is killed.
 */
import { chmodSync, closeSync, constants, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isAbsolute, join } from 'node:path';
import { acquireLock, lockByCommand } from '../lock.ts';
import { isAtOrBelow, type MountEntry, parseMountinfo } from '../mount-entry.ts';
import { NodeError } from '../node-error.ts';
import {
  HOLDER_LOCK,
  HOLDER_SOCKET,
  HOLDER_START,
  type HolderRequest,
  MAX_REQUEST_BYTES,
  pidNamespace,
} from './holder-protocol.ts';
import { type Launch, launchForked } from './launch.ts';

export interface MountHolderOptions {
  /** Shared with the agent, under the same path: the directories of the volumes and the socket lie in it. */
  readonly stateDir: string;
  /** Where the agent has its mounts; on a shared mount, or nobody would see what is mounted here. */
  readonly mountRoot: string;
  /** Told of every start that was asked for. */
  readonly onStart?: (name: string, error: NodeError | undefined) => void;
}

export interface MountHolder {
  /** Ends the service; what was started stays. */
  close(): Promise<void>;
}

/**
 * Starts to serve. The state directory must be there.
 *
 * @throws NodeError `Locked` when another one serves this state directory, `InvalidRequest` when the mount root is not on
 *   a shared mount.
 */
export async function startMountHolder({ stateDir, mountRoot, onStart }: MountHolderOptions): Promise<MountHolder> {
  requireShared(mountRoot);
  const directory = realpathSync(stateDir);
  const lock = await acquireLock(join(directory, HOLDER_LOCK), (fd) => Promise.resolve(lockByCommand(fd)));
  const folder = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const server = createServer((incoming, answer) => {
    void serve(incoming, directory, onStart).then(
      () => reply(answer, 200, {}),
      (thrown: unknown) => reply(answer, 422, NodeError.from(thrown).toWire()),
    );
  });
  try {
    // Left by one that was killed: the lock says that nobody listens there.
    rmSync(join(directory, HOLDER_SOCKET), { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      // By way of a descriptor: the path of a state directory may be longer than a socket address.
      server.listen(`/proc/self/fd/${folder}/${HOLDER_SOCKET}`, resolve);
    });
    chmodSync(join(directory, HOLDER_SOCKET), 0o600);
  } catch (thrown) {
    closeSync(folder);
    await lock.release();
    throw NodeError.from(thrown);
  }
  return {
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      closeSync(folder);
      await lock.release();
    },
  };
}

async function serve(
  incoming: IncomingMessage,
  stateDir: string,
  onStart: MountHolderOptions['onStart'],
): Promise<void> {
  if (incoming.method !== 'POST' || incoming.url !== HOLDER_START) {
    const asked = `${incoming.method} ${incoming.url}`;
    throw new NodeError('Unsupported', `this mount holder does not know ${asked}: it is older or newer than the agent`);
  }
  const what = parseRequest(await bodyOf(incoming), stateDir);
  try {
    await launchForked(what);
    onStart?.(what.name, undefined);
  } catch (thrown) {
    onStart?.(what.name, NodeError.from(thrown));
    throw thrown;
  }
}

function parseRequest(text: string, stateDir: string): Launch {
  const { directory, name, argv, discard, pidNamespace: theirs } = JSON.parse(text) as Partial<HolderRequest>;
  const refuse = (field: string, why: string): NodeError => new NodeError('InvalidRequest', `${field}: ${why}`);
  if (theirs !== pidNamespace()) {
    const message =
      'agent and mount holder are in different PID namespaces, so that neither can find what the other started: both pods need hostPID';
    throw new NodeError('HolderUnavailable', message);
  }
  if (typeof name !== 'string' || !/^[A-Za-z0-9-]+$/.test(name)) throw refuse('name', 'letters, digits and - alone');
  if (!isTexts(argv) || argv[0] === undefined || !isAbsolute(argv[0])) throw refuse('argv', 'begins with no program');
  if (!isTexts(discard) || discard.some((file) => file.includes('/'))) throw refuse('discard', 'names of files alone');
  if (typeof directory !== 'string' || !isInside(directory, stateDir)) {
    throw refuse(
      'directory',
      `${String(directory)} does not lie in the state directory ${stateDir} of the mount holder`,
    );
  }
  return { directory, name, argv: [argv[0], ...argv.slice(1)], discard };
}

function isInside(directory: string, stateDir: string): boolean {
  try {
    return isAtOrBelow(realpathSync(directory), stateDir);
  } catch {
    return false;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let text = '';
  incoming.setEncoding('utf8');
  for await (const chunk of incoming) {
    text += String(chunk);
    if (text.length > MAX_REQUEST_BYTES) throw new NodeError('InvalidRequest', 'the request is too long');
  }
  return text;
}

function reply(answer: ServerResponse, status: number, body: unknown): void {
  answer.writeHead(status, { 'content-type': 'application/json' });
  answer.end(JSON.stringify(body));
}

/** What is mounted below reaches the host and the agent only through a shared mount (mount_namespaces(7)). */
function requireShared(mountRoot: string): void {
  let holding: MountEntry | undefined;
  for (const entry of parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const isNearer = holding === undefined || isAtOrBelow(entry.target, holding.target);
    if (isNearer && isAtOrBelow(mountRoot, entry.target)) holding = entry;
  }
  if (holding?.propagation.shared !== undefined) return;
  const message = `${mountRoot} lies on ${holding?.target ?? 'no mount'}, which is not shared, so that nobody would see what is mounted there: mount it with mountPropagation Bidirectional`;
  throw new NodeError('InvalidRequest', message);
}
