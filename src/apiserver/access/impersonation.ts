import type { IncomingMessage } from 'node:http';
import { forbidden } from '../http/errors.ts';
import type { User } from '../registry/request.ts';
import { AUTHENTICATED_GROUP, isAdmin } from './roles.ts';

/**
 * The user that an administrator asks to be taken for (`kubectl --as`, `--as-group`); undefined without the headers.
 * Throws StatusError (403) for anybody else: an answer that ignored the headers would be believed.
 */
export function impersonated({ headers, headersDistinct }: IncomingMessage, user: User): User | undefined {
  const name = headers['impersonate-user'];
  if (name === undefined && headers['impersonate-group'] === undefined) return undefined;
  const who = typeof name === 'string' ? name : '';
  if (!isAdmin(user) || who === '') {
    const why = `User ${JSON.stringify(user.name)} cannot impersonate resource "users" in API group "" at the cluster scope`;
    throw forbidden({ group: '', resource: 'users' }, who, why);
  }
  const groups = headersDistinct['impersonate-group'] ?? [];
  return { name: who, groups: [...new Set([...groups, AUTHENTICATED_GROUP])] };
}
