/** Who there is besides objects: the roles, the groups that stand for them, and the names of their users. */
import { NODE_USER_PREFIX } from '../../api/group.ts';
import type { User } from '../registry/request.ts';

export type Role = 'admin' | 'viewer' | 'node' | 'controller';

export const ROLES: readonly Role[] = ['admin', 'viewer', 'node', 'controller'];

/** Every user that has shown a credential. */
export const AUTHENTICATED_GROUP = 'system:authenticated';

/** The group of a role; in a client certificate its O. Administrators are those of Kubernetes. */
export const GROUP_OF: Readonly<Record<Role, string>> = {
  admin: 'system:masters',
  viewer: 'clawstore:viewers',
  node: 'clawstore:nodes',
  controller: 'clawstore:controllers',
};

/** The user of a role; in a client certificate its CN. A node's says which node it is. */
export function userOf(role: Role, name: string): User {
  return { name: role === 'node' ? `${NODE_USER_PREFIX}${name}` : name, groups: [GROUP_OF[role]] };
}

/** The node that a user of the node role is; undefined for anybody else. */
export function nodeOf(user: User): string | undefined {
  if (!user.groups.includes(GROUP_OF.node) || !user.name.startsWith(NODE_USER_PREFIX)) return undefined;
  return user.name.slice(NODE_USER_PREFIX.length);
}

export function isAdmin(user: User): boolean {
  return user.groups.includes(GROUP_OF.admin);
}

/** A right: verbs on resources (`*`, `RESOURCE` or `RESOURCE/SUBRESOURCE`) of groups, perhaps of some names only. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  readonly resources: readonly string[];
  readonly names?: readonly string[];
}

/** What everybody with a credential may ask about themselves. */
export const SELF_RULES: readonly Rule[] = [
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
  { verbs: ['create'], groups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
];

const READ = ['get', 'list', 'watch'];

/** The rights of each role; those of a node depend on its objects (see NodeAccess). */
export const RULES: Readonly<Record<Exclude<Role, 'node'>, readonly Rule[]>> = {
  admin: [{ verbs: ['*'], groups: ['*'], resources: ['*'] }],
  // What may be seen is listed, so that whatever is served one day is not shown by itself; Secrets never.
  viewer: [
    { verbs: READ, groups: ['storage.clawbernetes.io'], resources: ['*'] },
    { verbs: READ, groups: [''], resources: ['namespaces', 'namespaces/status', 'configmaps', 'events'] },
    { verbs: READ, groups: ['events.k8s.io'], resources: ['events'] },
    { verbs: READ, groups: ['coordination.k8s.io'], resources: ['leases'] },
    { verbs: READ, groups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'] },
    ...SELF_RULES,
  ],
  controller: [
    { verbs: ['*'], groups: ['storage.clawbernetes.io'], resources: ['*'] },
    { verbs: READ, groups: [''], resources: ['namespaces'] },
    // It gathers and restores manifests, makes the keys of repositories, and removes what was on its way.
    { verbs: [...READ, 'create', 'update', 'patch', 'delete'], groups: [''], resources: ['secrets'] },
    { verbs: [...READ, 'create', 'update'], groups: [''], resources: ['configmaps'] },
    { verbs: [...READ, 'create', 'update', 'patch'], groups: ['coordination.k8s.io'], resources: ['leases'] },
    { verbs: ['create', 'update', 'patch'], groups: ['', 'events.k8s.io'], resources: ['events'] },
    { verbs: READ, groups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'] },
    ...SELF_RULES,
  ],
};
