/** Which groups, versions and resources there are: the plain lists, and aggregated discovery (apidiscovery.k8s.io). */
import type { Resource } from '../kinds/resource.ts';

/** A subresource, or a resource that stores nothing (reviews). */
export interface ExtraResource {
  readonly group: string;
  readonly version: string;
  /** `namespaces/finalize`, `selfsubjectaccessreviews`. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** Group versions that hold only reviews. */
export const REVIEWS: readonly ExtraResource[] = [
  ['authorization.k8s.io', 'SelfSubjectAccessReview'] as const,
  ['authorization.k8s.io', 'SelfSubjectRulesReview'] as const,
  ['authentication.k8s.io', 'SelfSubjectReview'] as const,
].map(([group, kind]) => ({
  group,
  version: 'v1',
  resource: `${kind.toLowerCase()}s`,
  singular: kind.toLowerCase(),
  kind,
  namespaced: false,
  verbs: ['create'],
}));

/** All discovery documents, rendered once. */
export class Discovery {
  readonly #resources: readonly Resource[];
  readonly #groups: ReadonlyMap<string, readonly string[]>;
  readonly #documents = new Map<string, string>();

  constructor(resources: readonly Resource[]) {
    this.#resources = resources;
    const groups = new Map<string, string[]>();
    for (const { group, version } of [...resources, ...REVIEWS]) {
      const versions = groups.get(group) ?? [];
      if (!versions.includes(version)) versions.push(version);
      groups.set(group, versions);
    }
    this.#groups = groups;
  }

  /** The groups with their versions, the core group first. */
  get groups(): ReadonlyMap<string, readonly string[]> {
    return this.#groups;
  }

  /** `/api`; `address` is where this server listens. */
  core(address: string): string {
    return JSON.stringify({
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: address }],
    });
  }

  /** `/apis`. */
  groupList(): string {
    return this.#once('/apis', () => ({
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: this.#named().map((group) => this.#group(group)),
    }));
  }

  /** `/apis/GROUP`, undefined for an unknown one. */
  group(group: string): string | undefined {
    if (group === '' || !this.#groups.has(group)) return undefined;
    return this.#once(`/apis/${group}`, () => ({ kind: 'APIGroup', apiVersion: 'v1', ...this.#group(group) }));
  }

  /** `/api/v1`, `/apis/GROUP/VERSION`; undefined for unknown ones. */
  resourceList(group: string, version: string): string | undefined {
    if (this.#groups.get(group)?.includes(version) !== true) return undefined;
    return this.#once(`${group}/${version}`, () => ({
      kind: 'APIResourceList',
      ...(group === '' ? {} : { apiVersion: 'v1' }),
      groupVersion: group === '' ? version : `${group}/${version}`,
      resources: [
        ...this.#of(group, version).flatMap((resource) => [
          {
            name: resource.resource,
            singularName: resource.singular,
            namespaced: resource.namespaced,
            kind: resource.kind,
            verbs: resource.verbs,
            ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
            ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
            ...(resource.verbs.includes('create') || resource.custom
              ? { storageVersionHash: hash(`${resource.group}/${resource.version}/${resource.kind}`) }
              : {}),
          },
          ...subresources(resource).map(({ name, verbs }) => ({
            name: `${resource.resource}/${name}`,
            singularName: '',
            namespaced: resource.namespaced,
            kind: resource.kind,
            verbs,
          })),
        ]),
        ...REVIEWS.filter((review) => review.group === group && review.version === version).map((review) => ({
          name: review.resource,
          singularName: review.singular,
          namespaced: review.namespaced,
          kind: review.kind,
          verbs: review.verbs,
        })),
      ],
    }));
  }

  /** `/api` (core) or `/apis` in the aggregated form. */
  aggregated(core: boolean, version: 'v2' | 'v2beta1'): string {
    return this.#once(`aggregated ${core} ${version}`, () => ({
      kind: 'APIGroupDiscoveryList',
      apiVersion: `apidiscovery.k8s.io/${version}`,
      metadata: {},
      items: (core ? [''] : this.#named()).map((group) => ({
        metadata: { ...(group === '' ? {} : { name: group }), creationTimestamp: null },
        versions: (this.#groups.get(group) ?? []).map((name) => ({
          version: name,
          resources: [
            ...this.#of(group, name).map((resource) => ({
              resource: resource.resource,
              responseKind: responseKind(resource),
              scope: resource.namespaced ? 'Namespaced' : 'Cluster',
              singularResource: resource.singular,
              verbs: resource.verbs,
              ...(resource.shortNames.length === 0 ? {} : { shortNames: resource.shortNames }),
              ...(resource.categories.length === 0 ? {} : { categories: resource.categories }),
              ...(subresources(resource).length === 0
                ? {}
                : {
                    subresources: subresources(resource).map((sub) => ({
                      subresource: sub.name,
                      responseKind: responseKind(resource),
                      verbs: sub.verbs,
                    })),
                  }),
            })),
            ...REVIEWS.filter((review) => review.group === group && review.version === name).map((review) => ({
              resource: review.resource,
              responseKind: { group: '', version: '', kind: review.kind },
              scope: 'Cluster',
              singularResource: review.singular,
              verbs: review.verbs,
            })),
          ],
          freshness: 'Current',
        })),
      })),
    }));
  }

  #named(): string[] {
    return [...this.#groups.keys()].filter((group) => group !== '');
  }

  #group(group: string): Record<string, unknown> {
    const versions = (this.#groups.get(group) ?? []).map((version) => ({
      groupVersion: `${group}/${version}`,
      version,
    }));
    return { name: group, versions, preferredVersion: versions[0] };
  }

  #of(group: string, version: string): Resource[] {
    return this.#resources.filter((resource) => resource.group === group && resource.version === version);
  }

  #once(name: string, make: () => unknown): string {
    let text = this.#documents.get(name);
    if (text === undefined) {
      text = JSON.stringify(make());
      this.#documents.set(name, text);
    }
    return text;
  }
}

/** The subresources of a resource. */
export function subresources(resource: Resource): { readonly name: string; readonly verbs: readonly string[] }[] {
  const readOnly = !resource.verbs.includes('update');
  return [
    ...(resource.group === '' && resource.resource === 'namespaces' ? [{ name: 'finalize', verbs: ['update'] }] : []),
    ...(resource.hasStatus ? [{ name: 'status', verbs: readOnly ? ['get'] : ['get', 'patch', 'update'] }] : []),
  ];
}

function hash(text: string): string {
  let value = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) value = ((value ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes.toString('base64');
}

/** Built-in kinds leave out the group and version that stand above them already, as in the real server. */
function responseKind({ custom, group, version, kind }: Resource): unknown {
  return custom ? { group, version, kind } : { group: '', version: '', kind };
}
