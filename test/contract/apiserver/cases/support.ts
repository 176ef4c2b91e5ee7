/** What a case is made of, and short ways to write one. */

/** One request. `{ns}` in its path and body is the namespace of the case, `{NAME}` what an earlier step has saved. */
export interface Step {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  /** Sent as it stands. */
  readonly raw?: string;
  /** Makes a binary body for the namespace of the case. */
  readonly binary?: (namespace: string) => Buffer;
  readonly type?: string;
  readonly accept?: string;
  /** Keeps values of the answer for later steps: name → path of fields, as `metadata.resourceVersion`. */
  readonly save?: Readonly<Record<string, string>>;
  /** Reduces the body to what the case is about; for answers that list everything that a server has. */
  readonly select?: (body: unknown) => unknown;
  /** Asks again until the answer has this code; for what servers do in their own time. */
  readonly until?: number;
}

export interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** Cases with one subject; their answers are in `answers/NAME.json`. */
export interface Subject {
  readonly name: string;
  readonly cases: readonly Case[];
}

export type Json = Readonly<Record<string, unknown>>;

export const GROUP = '/apis/storage.clawbernetes.io/v1alpha1';
export const VOLUMES = `${GROUP}/namespaces/{ns}/volumes`;
export const A = `${VOLUMES}/a`;
export const SECRETS = '/api/v1/namespaces/{ns}/secrets';
export const MAPS = '/api/v1/namespaces/{ns}/configmaps';
export const EVENTS = '/api/v1/namespaces/{ns}/events';
export const NEW_EVENTS = '/apis/events.k8s.io/v1/namespaces/{ns}/events';
export const LEASES = '/apis/coordination.k8s.io/v1/namespaces/{ns}/leases';
/** The kinds that crds/ of this suite adds, with the sorts of fields that ours do not have. */
export const TEST_GROUP = '/apis/conformance.clawstore.test/v1';
export const SPECIMENS = `${TEST_GROUP}/namespaces/{ns}/specimens`;
export const S = `${SPECIMENS}/s`;
export const PLAINS = `${TEST_GROUP}/plains`;

export const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
export const PARTIAL = 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json';
export const PARTIAL_LIST = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json';
export const APPLY = 'application/apply-patch+yaml';
export const MERGE = 'application/merge-patch+json';
export const JSON_PATCH = 'application/json-patch+json';
export const STRATEGIC = 'application/strategic-merge-patch+json';

export function volume(name: string, more: Json = {}, metadata: Json = {}): Json {
  return {
    apiVersion: 'storage.clawbernetes.io/v1alpha1',
    kind: 'Volume',
    metadata: { name, ...metadata },
    spec: { hostPath: { path: '/data/x' } },
    ...more,
  };
}

export function specimen(spec: Json, metadata: Json = {}, more: Json = {}): Json {
  return {
    apiVersion: 'conformance.clawstore.test/v1',
    kind: 'Specimen',
    metadata: { name: 's', ...metadata },
    spec,
    ...more,
  };
}

export function named(kind: string, version: string, name: string, more: Json = {}): Json {
  return { apiVersion: version, kind, metadata: { name }, ...more };
}

type More = Omit<Step, 'method' | 'path' | 'body'>;

export const get = (path: string, accept?: string, more: More = {}): Step => ({
  method: 'GET',
  path,
  ...(accept === undefined ? {} : { accept }),
  ...more,
});
export const post = (path: string, body: unknown, more: More = {}): Step => ({ method: 'POST', path, body, ...more });
export const put = (path: string, body: unknown): Step => ({ method: 'PUT', path, body });
export const patch = (path: string, type: string, body: unknown, more: More = {}): Step => ({
  method: 'PATCH',
  path,
  type,
  body,
  ...more,
});
export const merge = (path: string, body: unknown): Step => patch(path, MERGE, body);
export const jsonPatch = (path: string, ...operations: readonly Json[]): Step => patch(path, JSON_PATCH, operations);
export const apply = (path: string, body: unknown): Step => patch(path, APPLY, body);
export const remove = (path: string, body?: unknown): Step => ({
  method: 'DELETE',
  path,
  ...(body === undefined ? {} : { body }),
});

/** Makes volume `a`, as most cases begin. */
export const make = post(VOLUMES, volume('a'));

/** The real server walks over fields and managers in random order. */
export function sortedCauses(body: unknown): unknown {
  const { message: _, ...status } = body as Json & { readonly details: { readonly causes: readonly Json[] } };
  const causes = status.details.causes.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { ...status, details: { ...status.details, causes } };
}
