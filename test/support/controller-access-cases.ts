/**
 * What the controllers may write on a cluster besides objects of our kinds: tried with the expressions of the admission
 * policies alone (test/manifests/controller-policies.test.ts), and with RBAC at a real API server (test/contract).
 */

/** A write, and what stands there before it. */
export interface WriteCase {
  readonly name: string;
  readonly resource: 'secrets' | 'configmaps' | 'roles' | 'rolebindings';
  readonly namespace: string;
  /** Absent: it is made. */
  readonly old?: WrittenObject;
  /** Absent: it is deleted. */
  readonly object?: WrittenObject;
  /** The policy that refuses it; absent where it is allowed. */
  readonly policy?: string;
}

export interface WrittenObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

const RBAC = 'rbac.authorization.k8s.io';
const OF_BACKUP = { 'storage.clawbernetes.io/backup': 'nightly' };
const NODE_ROLE = 'clawstore:node:n1';

const secret = (type: string | undefined, metadata: object = {}): WrittenObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'keys', ...metadata },
  ...(type === undefined ? {} : { type }),
});
const changed = (object: WrittenObject): WrittenObject => ({ ...object, data: { a: 'YQ==' } });
const config: WrittenObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca' } };
const role = (name: string, ...rules: readonly object[]): WrittenObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'Role',
  metadata: { name },
  rules,
});
const reads = { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] };
const named = { ...reads, resourceNames: ['keys'] };
const account = { kind: 'ServiceAccount', namespace: 'clawstore-nodes', name: 'n1' };
const user = { kind: 'User', apiGroup: RBAC, name: NODE_ROLE };
const binding = (name: string, roleRef: object, ...subjects: readonly object[]): WrittenObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: 'RoleBinding',
  metadata: { name },
  roleRef: { apiGroup: RBAC, kind: 'Role', name, ...roleRef },
  subjects,
});

const SECRETS = { resource: 'secrets', namespace: 'default' } as const;
const CONFIG_MAPS = { resource: 'configmaps', namespace: 'default' } as const;
const ROLES = { resource: 'roles', namespace: 'default' } as const;
const BINDINGS = { resource: 'rolebindings', namespace: 'default' } as const;
const SECRET_POLICY = 'clawstore-controller-secrets';
const ROLE_POLICY = 'clawstore-controller-roles';
const BINDING_POLICY = 'clawstore-controller-bindings';

/** A token of anybody's, that the API server fills in. */
const token = secret('kubernetes.io/service-account-token', {
  annotations: { 'kubernetes.io/service-account.name': 'default' },
});

export const WRITE_CASES: readonly WriteCase[] = [
  { ...SECRETS, name: 'may make a Secret', object: secret(undefined) },
  { ...SECRETS, name: 'may make a Secret of a type of its user', object: secret('example.com/keys') },
  { ...SECRETS, name: 'may make the Secret of a Restore', object: secret('storage.clawbernetes.io/restore') },
  {
    ...SECRETS,
    name: 'may change the Secret of a Backup under way',
    old: secret('Opaque', { labels: OF_BACKUP }),
    object: changed(secret('Opaque', { labels: OF_BACKUP })),
  },
  { ...SECRETS, name: 'may delete the Secret of a Backup under way', old: secret('Opaque', { labels: OF_BACKUP }) },
  { ...SECRETS, name: 'may delete the Secret of a Restore', old: secret('storage.clawbernetes.io/restore') },
  { ...SECRETS, name: 'may not have a token made for it', object: token, policy: SECRET_POLICY },
  {
    ...SECRETS,
    name: 'may not make a token that nodes join by',
    object: secret('bootstrap.kubernetes.io/token'),
    policy: SECRET_POLICY,
  },
  {
    ...SECRETS,
    name: 'may not change the Secret of somebody',
    old: secret('Opaque'),
    object: changed(secret('Opaque')),
    policy: SECRET_POLICY,
  },
  {
    ...SECRETS,
    name: 'may not call the Secret of somebody its own',
    old: secret('Opaque'),
    object: changed(secret('Opaque', { labels: OF_BACKUP })),
    policy: SECRET_POLICY,
  },
  { ...SECRETS, name: 'may not delete the Secret of somebody', old: secret('Opaque'), policy: SECRET_POLICY },
  {
    ...SECRETS,
    name: 'may not delete the Secret of somebody that is labelled like a Backup',
    old: secret('example.com/keys', { labels: OF_BACKUP }),
    policy: SECRET_POLICY,
  },
  {
    ...SECRETS,
    namespace: 'kube-system',
    name: 'may not make a Secret in kube-system',
    object: secret(undefined),
    policy: 'clawstore-controller-namespaces',
  },

  { ...CONFIG_MAPS, name: 'may make a ConfigMap', object: config },
  { ...CONFIG_MAPS, name: 'may change a ConfigMap', old: config, object: { ...config, data: { a: 'b' } } },
  {
    ...CONFIG_MAPS,
    namespace: 'kube-system',
    name: 'may not make a ConfigMap in kube-system',
    object: config,
    policy: 'clawstore-controller-namespaces',
  },
  {
    ...CONFIG_MAPS,
    namespace: 'kube-public',
    name: 'may not change a ConfigMap in kube-public',
    old: config,
    object: { ...config, data: { a: 'b' } },
    policy: 'clawstore-controller-namespaces',
  },

  { ...ROLES, name: 'may grant a node a Secret', object: role(NODE_ROLE, named) },
  { ...ROLES, name: 'may take it back', old: role(NODE_ROLE, named) },
  {
    ...ROLES,
    name: 'may put a Role right that somebody has widened',
    old: role(NODE_ROLE, reads),
    object: role(NODE_ROLE, named),
  },
  { ...ROLES, name: 'may not grant a node all Secrets', object: role(NODE_ROLE, reads), policy: ROLE_POLICY },
  {
    ...ROLES,
    name: 'may not grant a node all Secrets beside one',
    old: role(NODE_ROLE, named),
    object: role(NODE_ROLE, named, { ...reads, resourceNames: [] }),
    policy: ROLE_POLICY,
  },
  {
    ...ROLES,
    name: 'may not grant a node anything else',
    object: role(NODE_ROLE, { apiGroups: [RBAC], resources: ['roles'], verbs: ['get'], resourceNames: ['x'] }),
    policy: ROLE_POLICY,
  },
  { ...ROLES, name: 'may not make another Role', object: role('x', named), policy: ROLE_POLICY },
  { ...ROLES, name: 'may not delete another Role', old: role('x', named), policy: ROLE_POLICY },

  { ...BINDINGS, name: 'may bind a node', object: binding(NODE_ROLE, {}, account, user) },
  { ...BINDINGS, name: 'may unbind a node', old: binding(NODE_ROLE, {}, account, user) },
  {
    ...BINDINGS,
    name: 'may not bind another node',
    object: binding(NODE_ROLE, {}, { ...account, name: 'n2' }),
    policy: BINDING_POLICY,
  },
  {
    ...BINDINGS,
    name: 'may not bind an account elsewhere',
    object: binding(NODE_ROLE, {}, account, { ...account, namespace: 'default' }),
    policy: BINDING_POLICY,
  },
  {
    ...BINDINGS,
    name: 'may not bind everybody',
    object: binding(NODE_ROLE, {}, { kind: 'Group', apiGroup: RBAC, name: 'system:authenticated' }),
    policy: BINDING_POLICY,
  },
  {
    ...BINDINGS,
    name: 'may not bind a node to what the controllers may',
    object: binding(NODE_ROLE, { kind: 'ClusterRole', name: 'clawstore-controller' }, account),
    policy: BINDING_POLICY,
  },
  { ...BINDINGS, name: 'may not make another RoleBinding', object: binding('x', {}, account), policy: BINDING_POLICY },
  { ...BINDINGS, name: 'may not delete another RoleBinding', old: binding('x', {}, account), policy: BINDING_POLICY },
];
