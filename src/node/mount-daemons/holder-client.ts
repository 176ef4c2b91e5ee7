/** The agent's side of the mount holder. */
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { NodeError, type NodeErrorWire } from '../node-error.ts';
import { HOLDER_SOCKET, HOLDER_START, type HolderRequest, pidNamespace } from './holder-protocol.ts';
import type { Launch } from './launch.ts';

/**
 * Has the holder of this node start a process. Resolves when it was started, which is long before it has mounted.
 *
 * @throws NodeError `HolderUnavailable` when nobody answers at the socket; what the holder says otherwise.
 */
export async function launchByHolder(stateDir: string, what: Launch, signal: AbortSignal): Promise<void> {
  const { directory, name, argv, discard } = what;
  const body: HolderRequest = { directory, name, argv, discard, pidNamespace: pidNamespace() };
  // By way of a descriptor: the path of a state directory may be longer than a socket address.
  const folder = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { status, text } = await post(`/proc/self/fd/${folder}/${HOLDER_SOCKET}`, JSON.stringify(body), signal);
    if (status === 200) return;
    throw errorOf(status, text);
  } catch (thrown) {
    if (thrown instanceof NodeError) throw thrown;
    if (signal.aborted)
      throw new NodeError('DeadlineExceeded', 'the mount holder did not answer in time', { cause: thrown });
    const { code } = thrown as NodeJS.ErrnoException;
    const message = `the mount holder of this node does not answer at ${join(stateDir, HOLDER_SOCKET)} (${code}): see that clawstore mount-holder runs, with the same state directory`;
    throw new NodeError('HolderUnavailable', message, { cause: thrown });
  } finally {
    closeSync(folder);
  }
}

function errorOf(status: number, text: string): NodeError {
  try {
    return NodeError.fromWire(JSON.parse(text) as NodeErrorWire);
  } catch (cause) {
    return new NodeError('Failed', `the mount holder answered with status ${status}`, { cause });
  }
}

function post(
  socketPath: string,
  body: string,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  // Few helpers ever ask a holder, and every one would load this at its start.
  const { request } = process.getBuiltinModule('node:http');
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const outgoing = request(
      { socketPath, method: 'POST', path: HOLDER_START, headers, signal, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('error', reject);
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
