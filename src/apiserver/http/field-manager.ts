import type { IncomingMessage } from 'node:http';

/** The longest name of a field manager, in characters. */
export const MAX_MANAGER = 128;

/** A writer without a name of its own is called as its program: `kubectl/v1.32 (linux)` → `kubectl`. */
export function managerOf(request: IncomingMessage): string {
  return (request.headers['user-agent'] ?? '').split('/', 1)[0]?.slice(0, MAX_MANAGER) ?? '';
}
