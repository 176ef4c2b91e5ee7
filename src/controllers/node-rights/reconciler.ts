/**
 * On a real cluster, a Role and its binding per node and namespace, which let the agent of the node read the Secrets and
 * ConfigMaps that its objects name and no others. Made when the first is named, removed with the last.
 *
 * The controller cannot grant what it has not itself; it may read Secrets because it backs up manifests.
 */
import type { Namespace, Role, RoleBinding, Subject } from '../../api/core.ts';
import { FIELD_MANAGERS, LABELS, MANAGED_BY, NODE_USER_PREFIX } from '../../api/group.ts';
import {
  apiVersionOf,
  isDeleting,
  type KubeObjectBase,
  type ResourceDescriptor,
  ROLE_BINDINGS,
  ROLES,
  splitKey,
} from '../../api/meta.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { sameValue } from '../../kube/field-diff.ts';
import type { ReconcileContext, Reconciler, Result } from '../../runtime/reconciler.ts';
import { DONE } from '../../runtime/reconciler.ts';
import type { ReadStore } from '../../runtime/store.ts';
import { tolerateChange } from '../support/writes.ts';
import type { GrantStores } from './grants.ts';
import { rulesFor } from './grants.ts';

/** On the Roles and bindings that are made here. */
export const NODE_RIGHTS_LABELS = { [LABELS.managedBy]: MANAGED_BY, [LABELS.component]: 'node-rights' } as const;

export interface NodeRightsDependencies extends GrantStores {
  readonly roles: ReadStore<Role>;
  readonly bindings: ReadStore<RoleBinding>;
  readonly namespaces: ReadStore<Namespace>;
  readonly client: KubeClient;
  /** Namespace with the ServiceAccounts of the nodes. */
  readonly accounts: string;
}

/** Key of the rights that a Role or its binding gives. */
export function rightsOfRole({ metadata }: KubeObjectBase): string {
  return `${metadata.namespace}/${metadata.name.slice(NODE_USER_PREFIX.length)}`;
}

/** Keys are `NAMESPACE/NODE`. */
export function nodeRightsReconciler(deps: NodeRightsDependencies): Reconciler {
  return (key, context) => tolerateChange(() => reconcile(key, deps, context));
}

async function reconcile(key: string, deps: NodeRightsDependencies, { signal }: ReconcileContext): Promise<Result> {
  const { namespace = '', name: node } = splitKey(key);
  const { client, roles, bindings, namespaces, accounts } = deps;
  const rules = rulesFor(key, deps);
  const ref = { namespace, name: `${NODE_USER_PREFIX}${node}` };
  const [role, binding] = [roles, bindings].map((store) => store.get(`${namespace}/${ref.name}`)) as [
    Role | undefined,
    RoleBinding | undefined,
  ];
  if (rules.length === 0) {
    if (role !== undefined) await remove(client, ROLES, role, signal);
    if (binding !== undefined) await remove(client, ROLE_BINDINGS, binding, signal);
    return DONE;
  }
  const home = namespaces.get(namespace);
  if (home === undefined || isDeleting(home)) return DONE;
  const apply = async (resource: ResourceDescriptor, content: object): Promise<void> => {
    const metadata = { ...ref, labels: NODE_RIGHTS_LABELS };
    const body = { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata, ...content };
    const options = { type: 'apply', force: true, fieldManager: FIELD_MANAGERS.controller, signal } as const;
    await client.patch(resource, ref, body, options);
  };
  if (!sameValue(role?.rules, rules)) await apply(ROLES, { rules });
  const subjects = subjectsOf(node, accounts);
  if (!sameValue(binding?.subjects, subjects)) {
    const roleRef = { apiGroup: ROLES.group, kind: ROLES.kind, name: ref.name };
    await apply(ROLE_BINDINGS, { roleRef, subjects });
  }
  return DONE;
}

/** The two names that the agent of a node may have. */
function subjectsOf(node: string, accounts: string): readonly Subject[] {
  return [
    { kind: 'ServiceAccount', name: node, namespace: accounts },
    { apiGroup: ROLES.group, kind: 'User', name: `${NODE_USER_PREFIX}${node}` },
  ];
}

async function remove(
  client: KubeClient,
  resource: ResourceDescriptor,
  { metadata }: KubeObjectBase,
  signal: AbortSignal,
): Promise<void> {
  const { namespace, name, uid, resourceVersion } = metadata;
  await client
    .delete(resource, { namespace, name }, { preconditions: { uid, resourceVersion }, signal })
    .catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isNotFound) throw thrown;
    });
}
