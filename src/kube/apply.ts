/**
 * Writes a status by server-side apply, and only when that changes something.
 *
 * Whether it does is read from facts: the live values in the cached object and the server's own record of the fields we
 * own (`ownership.ts`), both of which a restart does not lose. So an idle system writes nothing, also right after a
 * restart; a value that somebody else changed is put back; a field that we no longer want is removed.
 *
 * Beside that one memory is kept per object, as a shortcut and not as a fact: the body of our last apply with the
 * versions before and after it. It keeps us from repeating an apply against a cache that lags behind it, and from
 * repeating for ever an apply from which the server drops something.
 */
import { hash } from 'node:crypto';
import type { KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import { apiVersionOf } from '../api/meta.ts';
import type { KubeClient, RequestOptions } from './client.ts';
import { KubeError } from './errors.ts';
import { needsApply } from './field-diff.ts';
import { forCache, ownedStatus } from './ownership.ts';

export interface ApplyStatusOptions extends RequestOptions {
  /**
   * Fail with `Conflict` when the object has changed at all since it was read, instead of reading it again. For a
   * status that was decided from the rest of the object, such as a grant.
   */
  readonly requireUnchanged?: boolean | undefined;
}

/** What became of an apply. `object` is the newest we know: the answer of the server, or the cached one. */
export interface ApplyStatusResult<T> {
  readonly written: boolean;
  readonly object: T;
}

interface Memory {
  readonly digest: string;
  readonly baseVersion: string | undefined;
  readonly resultVersion: string | undefined;
}

/** Objects remembered at most; the oldest are forgotten first, which costs one request that changes nothing. */
const MAX_REMEMBERED = 20_000;

/** Conflicts in a row before the caller hears of it. */
const MAX_ATTEMPTS = 5;

/** Applies statuses as one field manager. One per process and manager. */
export class StatusPatcher {
  readonly fieldManager: string;
  readonly #client: KubeClient;
  readonly #last = new Map<string, Memory>();

  constructor(client: KubeClient, fieldManager: string) {
    this.#client = client;
    this.fieldManager = fieldManager;
  }

  /**
   * Makes `status` the whole of what this manager owns of the object's status: values are set (taken over from others
   * where necessary), owned fields that are missing in it are given up, and thereby removed unless others own them too.
   *
   * The write carries the resourceVersion, since that alone ties it to this UID: the status endpoint of custom resources
   * ignores the UID in the body. When somebody else wrote in between, the object is read again and, if it is still the
   * same one, the write repeated: our fields are ours whatever happened to the others.
   *
   * @param object As read from a cache or the server; never changed.
   * @throws KubeError: `Conflict` when the object with this UID is no longer there under its name (or, with
   * `requireUnchanged`, has changed); `NotFound` when it is gone.
   */
  async apply<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    object: T,
    status: object,
    options: ApplyStatusOptions = {},
  ): Promise<ApplyStatusResult<T>> {
    const { requireUnchanged = false, ...request } = options;
    const { name, namespace, uid } = object.metadata;
    if (uid === undefined) {
      throw new KubeError({ reason: 'Configuration', message: `${resource.kind} ${name} has no UID: it was not read` });
    }
    let live = object;
    for (let attempt = 1; ; attempt++) {
      if (!this.#isNeeded(resource, live, status)) return { written: false, object: live };
      try {
        return { written: true, object: await this.#write(resource, live, status, request) };
      } catch (thrown) {
        const error = KubeError.from(thrown);
        if (!error.isConflict || requireUnchanged || attempt >= MAX_ATTEMPTS) throw error;
      }
      live = forCache(await this.#client.get<T>(resource, { namespace, name }, request), resource);
      if (live.metadata.uid !== uid) {
        throw new KubeError({
          reason: 'Conflict',
          status: 409,
          message: `${resource.kind} ${name} was deleted and made again meanwhile`,
        });
      }
    }
  }

  /** Drops what is remembered of an object that is gone. */
  forget(resource: ResourceDescriptor, uid: string): void {
    this.#last.delete(`${resource.plural}/${uid}`);
  }

  #isNeeded(resource: ResourceDescriptor, object: KubeObjectBase, status: object): boolean {
    const { uid, resourceVersion } = object.metadata;
    const last = this.#last.get(`${resource.plural}/${uid}`);
    if (last !== undefined && resourceVersion !== last.resultVersion) {
      // The object may be as it was before our last apply: that it shows what is wanted says nothing then.
      if (last.digest !== digestOf(status)) return true;
      if (resourceVersion === last.baseVersion) return false;
    }
    const live = (object as { readonly status?: unknown }).status;
    const owned = ownedStatus(object, this.fieldManager);
    if (owned !== undefined && !differs(status, live, owned)) return false;
    return resourceVersion === undefined || resourceVersion !== last?.resultVersion || last.digest !== digestOf(status);
  }

  async #write<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    object: T,
    status: object,
    request: RequestOptions,
  ): Promise<T> {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const body = {
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { name, namespace, uid, resourceVersion },
      status,
    };
    const answer = await this.#client.patch<T>(resource, { namespace, name }, body, {
      ...request,
      type: 'apply',
      subresource: 'status',
      fieldManager: this.fieldManager,
      force: true,
    });
    this.#remember(`${resource.plural}/${uid}`, {
      digest: digestOf(status),
      baseVersion: resourceVersion,
      resultVersion: answer.metadata.resourceVersion,
    });
    return forCache(answer, resource);
  }

  #remember(key: string, memory: Memory): void {
    this.#last.delete(key);
    this.#last.set(key, memory);
    if (this.#last.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#last.keys()) {
      this.#last.delete(oldest);
      return;
    }
  }
}

/** An empty set means that nothing of ours is there yet, so that only an empty status would change nothing. */
function differs(status: object, live: unknown, owned: Readonly<Record<string, unknown>>): boolean {
  if (Object.keys(owned).every((key) => key === '.')) return Object.values(status).some((value) => value !== undefined);
  return needsApply(status, live, owned);
}

/** The order of keys says nothing: what is read back from the server has another one than what was written. */
function digestOf(status: object): string {
  return hash('sha256', JSON.stringify(status, inOrder), 'base64');
}

function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
