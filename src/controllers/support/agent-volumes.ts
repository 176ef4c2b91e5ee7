/**
 * The Volumes that an agent sees: its own, which the server filters for it, and by name those that its mounts refer to
 * and another node owns (a volume on a server can be mounted anywhere).
 */
import type { Volume } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { ObjectHold, ObjectWatches } from '../../runtime/object-watches.ts';
import type { Cache } from '../../runtime/source.ts';
import { Store } from '../../runtime/store.ts';
import { BY_VOLUME, volumeKeyOf, volumeOfMount } from './indexes.ts';

export interface AgentVolumesOptions {
  /** Volumes of this node. */
  readonly own: Cache<Volume>;
  /** Watches of single volumes. */
  readonly named: Pick<ObjectWatches<Volume>, 'hold' | 'store' | 'hasSynced' | 'synced'>;
  /** Mounts of this node. */
  readonly mounts: Cache<VolumeMount>;
  /** Told what a listener of the store threw. */
  readonly onListenerError: (thrown: unknown) => void;
}

interface Held {
  readonly hold: ObjectHold<Volume>;
  /** Ends what waits for it. */
  readonly stop: AbortController;
}

/** Both together, as one cache. What this node owns is taken from its own watch. */
export class AgentVolumes implements Cache<Volume> {
  readonly name = 'volumes-of-node';
  readonly store: Store<Volume>;
  readonly #options: AgentVolumesOptions;
  readonly #holds = new Map<string, Held>();

  constructor(options: AgentVolumesOptions) {
    this.#options = options;
    this.store = new Store(options.onListenerError);
    const { own, named, mounts } = options;
    mounts.store.addIndex(BY_VOLUME, volumeOfMount);
    own.store.subscribe((delta) => {
      if (delta.type === 'deleted') return this.#leave(delta.key);
      this.#show(delta.key, delta.type === 'added' && delta.initial);
      this.#hold(delta.key);
    });
    named.store.subscribe((delta) => this.#show(delta.key, false));
    mounts.store.subscribe((delta) => {
      if (delta.type !== 'added') this.#hold(volumeKeyOf(delta.old));
      if (delta.type !== 'deleted') this.#hold(volumeKeyOf(delta.object));
    });
  }

  get hasSynced(): boolean {
    const { own, named, mounts } = this.#options;
    return own.hasSynced && mounts.hasSynced && named.hasSynced;
  }

  async synced(signal: AbortSignal): Promise<void> {
    const { own, named, mounts } = this.#options;
    await Promise.all([own.synced(signal), mounts.synced(signal)]);
    // Until now it was not known which of the volumes that mounts name are of this node anyway.
    for (const mount of mounts.store.list()) this.#hold(volumeKeyOf(mount));
    await named.synced(signal);
  }

  /**
   * A volume that is not this node's any more is another's now, or gone. Until that is known it is shown as it was: its mounts
   * must not be told in between that it does not exist.
   */
  #leave(key: string): void {
    this.#hold(key);
    const held = this.#holds.get(key);
    if (held === undefined || held.hold.hasSynced) return this.#show(key, false);
    held.hold.synced(held.stop.signal).then(
      () => this.#show(key, false),
      () => undefined, // released meanwhile
    );
  }

  /** Puts what is known of a volume into the store. */
  #show(key: string, initial: boolean): void {
    const { own, named } = this.#options;
    const object = own.store.get(key) ?? named.store.get(key);
    if (object === undefined) this.store.delete(key);
    else this.store.set(object, initial);
  }

  /** Watches a volume by name for as long as a mount of this node refers to it and it is not this node's own. */
  #hold(key: string): void {
    const { own, named, mounts } = this.#options;
    if (!own.hasSynced) return;
    const isWanted = own.store.get(key) === undefined && mounts.store.byIndex(BY_VOLUME, key).length > 0;
    const held = this.#holds.get(key);
    if (isWanted && held === undefined) this.#holds.set(key, { hold: named.hold(key), stop: new AbortController() });
    if (isWanted || held === undefined) return;
    this.#holds.delete(key);
    held.stop.abort();
    held.hold.release();
    this.#show(key, false);
  }
}
