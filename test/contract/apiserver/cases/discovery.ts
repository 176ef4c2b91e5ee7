/** What is served, in each form that clients ask for it. The real server serves more: only what we serve is compared. */
import { type Case, get, type Json, remove, SPECIMENS, type Step, type Subject } from './support.ts';

const OURS = new Set(['storage.clawbernetes.io', 'conformance.clawstore.test']);
const CORE = ['configmaps', 'events', 'namespaces', 'namespaces/finalize', 'namespaces/status', 'secrets'];
const SERVED = new Map([
  ['authorization.k8s.io', ['selfsubjectaccessreviews', 'selfsubjectrulesreviews']],
  ['apiextensions.k8s.io', ['customresourcedefinitions']],
  ['coordination.k8s.io', ['leases']],
  ['events.k8s.io', ['events']],
]);

interface Group {
  readonly name?: string;
  readonly metadata?: { readonly name?: string };
  readonly versions: readonly Json[];
}

const isServed = (name: string): boolean => OURS.has(name) || SERVED.has(name);

/** `/apis`: our groups, by name; the order of others is the real server's own. */
const groups = (body: unknown): unknown => {
  const list = body as Json & { readonly groups: readonly Group[] };
  return { ...list, groups: byName(list.groups.filter(({ name = '' }) => isServed(name))) };
};

const aggregated = (body: unknown): unknown => {
  const list = body as Json & { readonly items?: readonly Group[] };
  if (list.items === undefined) return { kind: list['kind'] };
  const items = list.items.filter(({ metadata }) => metadata?.name === undefined || isServed(metadata.name));
  return {
    ...list,
    items: byName(items).map((group) => ({
      ...group,
      versions: group.versions.map((version) => ({
        ...version,
        resources: sortedBy('resource', (version['resources'] ?? []) as readonly Json[]).filter(({ resource }) =>
          servedIn(group.metadata?.name ?? '', String(resource)),
        ),
      })),
    })),
  };
};

const resources =
  (group: string) =>
  (body: unknown): unknown => {
    const list = body as Json & { readonly resources: readonly Json[] };
    return { ...list, resources: sortedBy('name', list.resources).filter(({ name }) => servedIn(group, String(name))) };
  };

function servedIn(group: string, resource: string): boolean {
  if (group === '') return CORE.includes(resource);
  return OURS.has(group) || SERVED.get(group)?.includes(resource) === true;
}

/** In the real server the order of CRDs is that in which it came to know them. */
function sortedBy(key: string, list: readonly Json[]): readonly Json[] {
  return list.toSorted((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1));
}

function byName(list: readonly Group[]): readonly Group[] {
  const nameOf = (group: Group): string => group.name ?? group.metadata?.name ?? '';
  return list.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

const AGGREGATED = (version: string): string =>
  `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList,application/json`;
const selecting = (path: string, select: (body: unknown) => unknown, accept?: string): Step =>
  get(path, accept, { select });

const CASES: readonly Case[] = [
  {
    name: 'the versions of the core',
    steps: [selecting('/api', (body) => ({ ...(body as Json), serverAddressByClientCIDRs: [] }))],
  },
  { name: 'the groups', steps: [selecting('/apis', groups)] },
  ...['v2', 'v2beta1'].flatMap((version): Case[] => [
    { name: `aggregated ${version} of the core`, steps: [selecting('/api', aggregated, AGGREGATED(version))] },
    { name: `aggregated ${version} of the groups`, steps: [selecting('/apis', aggregated, AGGREGATED(version))] },
  ]),
  {
    name: 'aggregated, the best that both know',
    steps: [selecting('/apis', aggregated, `${AGGREGATED('v9')},${AGGREGATED('v2')}`)],
  },
  {
    name: 'aggregated of a version that nobody knows',
    steps: [get('/apis', 'application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList')],
  },
  { name: 'the resources of the core', steps: [selecting('/api/v1', resources(''))] },
  ...[...OURS, ...SERVED.keys()].map(
    (group): Case => ({
      name: `the resources of ${group}`,
      steps: [
        get(`/apis/${group}`),
        selecting(`/apis/${group}/${group === 'storage.clawbernetes.io' ? 'v1alpha1' : 'v1'}`, resources(group)),
      ],
    }),
  ),
  {
    name: 'a group that nobody serves',
    steps: [get('/apis/nonsense.example.com'), get('/apis/storage.clawbernetes.io/v9')],
  },
  {
    name: 'the version',
    steps: [
      selecting('/version', (body) => ({
        major: (body as Json)['major'],
        minor: (body as Json)['minor'],
        gitVersion: (body as Json)['gitVersion'],
      })),
    ],
  },
  { name: 'health', steps: [get('/healthz'), get('/livez'), get('/readyz')] },
  { name: 'methods that nothing has', steps: [remove('/version'), remove('/api/v1')] },
  {
    name: 'paths that are nearly right',
    steps: [
      get('/api/v2'),
      get('/api/v1/namespaces/{ns}/'),
      get(`${SPECIMENS}/`),
      get('/apis/conformance.clawstore.test/v1/namespaces/{ns}'),
      get('/api/v1/nonsense/x'),
    ],
  },
];

export const discovery: Subject = { name: 'discovery', cases: CASES };
