import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Authenticator } from '../access/authenticator.ts';
import type { Authorizer } from '../access/authorizer.ts';
import type { Discovery } from '../discovery/discovery.ts';
import { keyOf, type Resource } from '../kinds/resource.ts';
import type { OpenApi } from '../openapi/openapi.ts';
import type { Clock } from '../registry/clock.ts';
import type { Deletes } from '../registry/deletes.ts';
import type { User } from '../registry/request.ts';
import type { Writes } from '../registry/writes.ts';
import type { Store } from '../storage/store.ts';
import type { WatchHub } from '../watch/hub.ts';
import type { AuditLog } from './audit.ts';
import type { ResourcePath } from './path.ts';

/** What a server is made of, for its handlers. */
export interface ServerParts {
  readonly store: Store;
  readonly resources: readonly Resource[];
  readonly writes: Writes;
  readonly deletes: Deletes;
  readonly hub: WatchHub;
  readonly discovery: Discovery;
  readonly openApi: OpenApi;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly audit: AuditLog | undefined;
  readonly clock: Clock;
  /** `HOST:PORT`, for `/api`. */
  readonly address: () => string;
  /** Called with the connection of each request that has a credential. */
  readonly onKnown: (socket: Socket) => void;
  /** The version that `/version` tells. */
  readonly version: string;
  readonly onError: (error: Error) => void;
}

/** One request on its way. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly path: ResourcePath;
  readonly resource: Resource;
  readonly user: User;
  readonly parts: ServerParts;
  readonly warnings: string[];
  /** Reads the body. A client that is slow with it takes no room from others. Throws StatusError. */
  readonly body: () => Promise<Buffer>;
}

/** The key of the object that a request names. */
export function keyOfPath({ resource, path }: Exchange): string {
  return keyOf(resource, path.namespace, path.name);
}
