import { createHash, timingSafeEqual } from 'node:crypto';
import type { User } from '../registry/request.ts';

/** What a request wants to do. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** `''` for the object itself. */
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
}

/** A right: verbs on resources of groups; `*` is any. */
export interface Rule {
  readonly verbs: readonly string[];
  readonly groups: readonly string[];
  readonly resources: readonly string[];
}

/** Users of this group may do everything, as in Kubernetes. */
export const ADMIN_GROUP = 'system:masters';
/** Controllers and agents. */
export const NODE_GROUP = 'clawstore:nodes';

const EVERYTHING: readonly Rule[] = [{ verbs: ['*'], groups: ['*'], resources: ['*'] }];

/** What controllers and agents need: our kinds, Leases, Events, and to read what volumes refer to. */
const NODE_RULES: readonly Rule[] = [
  { verbs: ['*'], groups: ['storage.clawbernetes.io'], resources: ['*'] },
  { verbs: ['*'], groups: ['coordination.k8s.io'], resources: ['leases'] },
  {
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch'],
    groups: ['', 'events.k8s.io'],
    resources: ['events'],
  },
  { verbs: ['get', 'list', 'watch'], groups: [''], resources: ['namespaces', 'secrets', 'configmaps'] },
  { verbs: ['get', 'list', 'watch'], groups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'] },
  {
    verbs: ['create'],
    groups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
];

/** The rights of a user. */
export function rulesOf(user: User): readonly Rule[] {
  if (user.groups.includes(ADMIN_GROUP)) return EVERYTHING;
  return user.groups.includes(NODE_GROUP) ? NODE_RULES : [];
}

/** Whether a user may do something. */
export function isAllowed(user: User, attributes: Attributes): boolean {
  const { verb, group, resource } = attributes;
  return rulesOf(user).some(
    (rule) => covers(rule.verbs, verb) && covers(rule.groups, group) && covers(rule.resources, resource),
  );
}

function covers(list: readonly string[], value: string): boolean {
  return list.includes('*') || list.includes(value);
}

/** A bearer token and whose it is. */
export interface Token {
  readonly token: string;
  readonly user: User;
}

/** Tells users by their bearer tokens. Only hashes are compared, so that no time tells how much of a guess was right. */
export class Authenticator {
  readonly #known: readonly { readonly hash: Buffer; readonly user: User }[];
  readonly #recent = new Map<string, User>();

  constructor(tokens: readonly Token[]) {
    this.#known = tokens.map(({ token, user }) => ({ hash: sha256(token), user: withGroups(user) }));
  }

  /** The user of an `Authorization` header, or undefined. */
  user(header: string | undefined): User | undefined {
    if (header === undefined) return undefined;
    const recent = this.#recent.get(header);
    if (recent !== undefined) return recent;
    const match = /^Bearer +(\S+)$/i.exec(header);
    if (match === null) return undefined;
    const hash = sha256(match[1] as string);
    const found = this.#known.find((known) => timingSafeEqual(known.hash, hash));
    if (found !== undefined) this.#recent.set(header, found.user);
    return found?.user;
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function withGroups(user: User): User {
  return { ...user, groups: [...user.groups, 'system:authenticated'] };
}
