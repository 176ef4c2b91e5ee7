import type { Resource } from '../kinds/resource.ts';
import type { Attempt, User } from '../registry/request.ts';
import type { Attributes } from './attributes.ts';
import { admitNode, NodeAccess } from './node-access.ts';
import { AUTHENTICATED_GROUP, GROUP_OF, isAdmin, nodeOf, type Role, RULES, type Rule } from './roles.ts';

/** Paths that say nothing about objects; every user may read them (Kubernetes: `system:discovery`). */
const DISCOVERY = /^\/(?:$|healthz|livez|readyz|version\/?$|apis?(?:\/|$)|openapi(?:\/|$))/;

interface Rights {
  readonly rules: readonly Rule[];
  readonly isComplete: boolean;
}

/** Says who may do what. */
export class Authorizer {
  readonly #nodes: NodeAccess;
  /** A user is one object for as long as its token or connection lives. */
  readonly #rights = new WeakMap<User, Rights>();

  constructor(resources: readonly Resource[]) {
    this.#nodes = new NodeAccess(resources);
  }

  /** The rights of a user as rules; `isComplete` is false where objects decide too. */
  rules(user: User): Rights {
    let rights = this.#rights.get(user);
    if (rights === undefined) {
      rights = this.#rightsOf(user);
      this.#rights.set(user, rights);
    }
    return rights;
  }

  #rightsOf(user: User): Rights {
    const node = nodeOf(user);
    const rules = (Object.keys(RULES) as Exclude<Role, 'node'>[]).flatMap((role) =>
      user.groups.includes(GROUP_OF[role]) ? RULES[role] : [],
    );
    if (node === undefined) return { rules, isComplete: true };
    return { rules: [...rules, ...this.#nodes.rules(node)], isComplete: false };
  }

  /** Whether a user may do something with resources. */
  isAllowed(user: User, attributes: Attributes): boolean {
    const { rules } = this.rules(user);
    if (rules.some((rule) => covers(rule, attributes))) return true;
    const node = nodeOf(user);
    return node !== undefined && this.#nodes.isAllowed(node, attributes);
  }

  /** Whether a user may do something with a path that names no resource. */
  isPathAllowed(user: User, verb: string, path: string): boolean {
    if (isAdmin(user)) return true;
    if (!user.groups.includes(AUTHENTICATED_GROUP) || (verb !== 'get' && verb !== 'head')) return false;
    return DISCOVERY.test(path) || (path === '/metrics' && user.groups.includes(GROUP_OF.viewer));
  }

  /** What a write of this user is checked by once its outcome is known; undefined where nothing more is asked. */
  admission(user: User): ((attempt: Attempt) => void) | undefined {
    const node = isAdmin(user) ? undefined : nodeOf(user);
    return node === undefined ? undefined : (attempt) => admitNode(node, attempt, this.#nodes);
  }
}

function covers(rule: Rule, { verb, group, resource, subresource, name }: Attributes): boolean {
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  return (
    has(rule.verbs, verb) &&
    has(rule.groups, group) &&
    has(rule.resources, full) &&
    (rule.names === undefined || rule.names.includes(name))
  );
}

function has(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}
