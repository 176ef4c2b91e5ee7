/**
 * What the rest of the product may ask of a Kubernetes API server: the interface alone, so that controllers can be
 * tested against anything that speaks it. {@link connect} in `rest-client.ts` makes the real one.
 */
import type { KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';

export type { Condition, KubeObjectBase, ManagedFieldsEntry, ObjectMeta, ResourceDescriptor } from '../api/meta.ts';
export { apiVersionOf, keyOf, splitKey } from '../api/meta.ts';

/** Names one object of a kind. `namespace` is absent for cluster-scoped kinds. */
export interface ObjectRef {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** What every request accepts. */
export interface RequestOptions {
  /** Aborts the request; the promise rejects with a KubeError whose reason is `Aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Deadline for the whole request including retries, in milliseconds; default 30,000. */
  readonly timeoutMs?: number | undefined;
}

export interface GetOptions extends RequestOptions {
  readonly resourceVersion?: string | undefined;
}

/** Which objects a list or watch covers. */
export interface Selection {
  /** Absent = every namespace. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface ListOptions extends RequestOptions, Selection {
  /** Page size; absent = everything in one answer. */
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
  readonly resourceVersion?: string | undefined;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan' | undefined;
}

/** One page of a list. */
export interface ListPage<T extends KubeObjectBase> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Token for the next page; absent on the last one. */
  readonly continue?: string;
}

export interface WatchOptions extends Selection {
  readonly signal?: AbortSignal | undefined;
  /** Opaque; the watch starts after it. Absent = "any", with synthetic ADDED events first. */
  readonly resourceVersion?: string | undefined;
  /** WatchList: stream the present state first, then a bookmark annotated `k8s.io/initial-events-end`. */
  readonly sendInitialEvents?: boolean | undefined;
  /** How long the server keeps the watch, in seconds. */
  readonly timeoutSeconds?: number | undefined;
  /** The watch fails with reason `WatchIdle` when nothing at all arrives for so long, in milliseconds. */
  readonly idleMs?: number | undefined;
  /** How long to wait for the server's first byte of an answer, in milliseconds; default 30,000. */
  readonly headersTimeoutMs?: number | undefined;
}

/** One event of a watch. ERROR events never appear here: they are thrown as KubeError. */
export type WatchEvent<T extends KubeObjectBase> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObjectBase };

/** Options of everything that writes. */
export interface WriteOptions extends RequestOptions {
  readonly fieldManager?: string | undefined;
  readonly dryRun?: boolean | undefined;
  readonly subresource?: string | undefined;
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore' | undefined;
}

export interface PatchOptions extends WriteOptions {
  /** `apply` = server-side apply, `merge` = RFC 7396, `json` = RFC 6902. */
  readonly type: 'apply' | 'merge' | 'json';
  /** Server-side apply only: take over fields that others own. */
  readonly force?: boolean | undefined;
}

export interface DeleteOptions extends RequestOptions {
  readonly preconditions?: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined };
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan' | undefined;
  readonly gracePeriodSeconds?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

/** A request outside the typed calls: discovery, `/readyz`, a SelfSubjectAccessReview. */
export interface RawRequest extends RequestOptions {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined;
  /** Path with query, e.g. `/apis`. */
  readonly path: string;
  /** Sent as JSON unless it is a string. */
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly accept?: string | undefined;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/**
 * A connection to one API server. Every call rejects with KubeError and with nothing else.
 *
 * 429 and 503 answers are retried after their Retry-After (1 s if there is none) while the deadline allows; nothing
 * else is retried but a GET whose kept-alive connection turned out to be closed.
 */
export interface KubeClient {
  get<T extends KubeObjectBase>(resource: ResourceDescriptor, ref: ObjectRef, options?: GetOptions): Promise<T>;
  /** One page (or everything, without `limit`). */
  list<T extends KubeObjectBase>(resource: ResourceDescriptor, options?: ListOptions): Promise<ListPage<T>>;
  /** Every page in turn. A continue token that expires midway is thrown (`isExpired`); the caller starts anew. */
  listPages<T extends KubeObjectBase>(resource: ResourceDescriptor, options?: ListOptions): AsyncIterable<ListPage<T>>;
  create<T extends KubeObjectBase>(resource: ResourceDescriptor, object: T, options?: WriteOptions): Promise<T>;
  /** PUT; optimistic concurrency by the object's own resourceVersion. */
  replace<T extends KubeObjectBase>(resource: ResourceDescriptor, object: T, options?: WriteOptions): Promise<T>;
  patch<T extends KubeObjectBase>(
    resource: ResourceDescriptor,
    ref: ObjectRef,
    body: unknown,
    options: PatchOptions,
  ): Promise<T>;
  /** Asks for deletion. Resolves when the request is accepted, which is before finalizers have run. */
  delete(resource: ResourceDescriptor, ref: ObjectRef, options?: DeleteOptions): Promise<void>;
  /** Opens a watch on first iteration; leaving the loop closes it. Ends normally when the server ends it. */
  watch<T extends KubeObjectBase>(resource: ResourceDescriptor, options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** Sends one request; answers ≥ 400 are thrown as KubeError like everywhere else. */
  raw(request: RawRequest): Promise<RawResponse>;
  /** Closes idle connections and waits for running requests, but not for watches, which are cut. */
  close(): Promise<void>;
}
