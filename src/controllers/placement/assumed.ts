/**
 * Nodes that were chosen and are not in the cache yet. Many volumes are placed at once, and each would else see the same
 * node as the emptiest, and the same room on its pool.
 */
import type { Volume } from '../../api/volume.ts';
import type { ReadStore } from '../../runtime/store.ts';

export class AssumedPlacements {
  readonly #nodes = new Map<string, string>();
  readonly #volumes = new Map<string, Set<string>>();

  /** Follows the cache for as long as that lives: what it shows is assumed no more. */
  constructor(volumes: ReadStore<Volume>) {
    volumes.subscribe((delta) => {
      if (delta.type === 'deleted' || delta.object.status?.nodeName !== undefined) this.note(delta.key, undefined);
    });
  }

  /** Says what was decided last of a volume that has no node in the cache; undefined: none. */
  note(key: string, nodeName: string | undefined): void {
    const before = this.#nodes.get(key);
    if (before === nodeName) return;
    if (before !== undefined) {
      const others = this.#volumes.get(before);
      others?.delete(key);
      if (others?.size === 0) this.#volumes.delete(before);
    }
    if (nodeName === undefined) {
      this.#nodes.delete(key);
      return;
    }
    this.#nodes.set(key, nodeName);
    const volumes = this.#volumes.get(nodeName);
    if (volumes === undefined) this.#volumes.set(nodeName, new Set([key]));
    else volumes.add(key);
  }

  /** How many volumes were given a node, beside those of the cache. */
  countOn(nodeName: string): number {
    return this.#volumes.get(nodeName)?.size ?? 0;
  }

  /** Their keys. */
  keysOn(nodeName: string): Iterable<string> {
    return this.#volumes.get(nodeName) ?? [];
  }
}
