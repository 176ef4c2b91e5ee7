/** A client that counts what its watches bring, and whose it is. */

import type { ResourceDescriptor } from '../../src/api/meta.ts';
import type { KubeClient, KubeObjectBase, WatchEvent, WatchOptions } from '../../src/kube/client.ts';

export interface WatchCounts {
  /** Watches that were opened, ever. */
  opened: number;
  /** Events of changes, without the present state that a watch may begin with, and without bookmarks. */
  events: number;
  /** Their length in bytes, as JSON. */
  bytes: number;
  /** Objects of the present state that watches began with. */
  initial: number;
  initialBytes: number;
  /** Objects of kinds that belong to nodes, that another node has, and that were not asked for by name. */
  foreign: number;
}

/** What stands around an object on the wire: `{"type":"MODIFIED","object":…}` and a line feed. */
const FRAME_BYTES = 30;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

type Placed = KubeObjectBase & { readonly status?: { readonly nodeName?: string } };

/** The same client, counted as that of `nodeName`. */
export function countedClient(client: KubeClient, nodeName: string): { client: KubeClient; counts: WatchCounts } {
  const counts: WatchCounts = { opened: 0, events: 0, bytes: 0, initial: 0, initialBytes: 0, foreign: 0 };
  async function* watch<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    options: WatchOptions = {},
  ): AsyncIterable<WatchEvent<T>> {
    counts.opened += 1;
    let isInitial = options.sendInitialEvents === true;
    const isOfNodes = options.fieldSelector?.startsWith('status.nodeName=') === true;
    for await (const event of client.watch<T>(resource, options)) {
      if (event.type === 'BOOKMARK') {
        if (event.object.metadata.annotations?.[INITIAL_EVENTS_END] === 'true') isInitial = false;
      } else {
        const bytes = Buffer.byteLength(JSON.stringify(event.object)) + FRAME_BYTES;
        counts[isInitial ? 'initial' : 'events'] += 1;
        counts[isInitial ? 'initialBytes' : 'bytes'] += bytes;
        const { status } = event.object as Placed;
        if (isOfNodes && event.type !== 'DELETED' && status?.nodeName !== nodeName) counts.foreign += 1;
      }
      yield event;
    }
  }
  const counted: KubeClient = {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    listPages: (...args) => client.listPages(...args),
    create: (...args) => client.create(...args),
    replace: (...args) => client.replace(...args),
    patch: (...args) => client.patch(...args),
    delete: (...args) => client.delete(...args),
    raw: (...args) => client.raw(...args),
    close: () => client.close(),
    watch,
  };
  return { client: counted, counts };
}
