import { badRequest } from './errors.ts';

/** A path below /api or /apis, taken apart. */
export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  /** `''` for paths that name no resource. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

/** Parses `/api/v1/…` or `/apis/GROUP/VERSION/…`; undefined for other paths. Throws StatusError for bad escapes. */
export function parsePath(path: string): ResourcePath | undefined {
  const parts = path.split('/');
  if (parts.at(-1) === '') parts.pop();
  if (path.includes('%')) {
    try {
      for (let i = 0; i < parts.length; i++) parts[i] = decodeURIComponent(parts[i] as string);
    } catch (cause) {
      throw badRequest('the path has an invalid escape', { cause });
    }
  }
  const core = parts[1] === 'api';
  const first = core ? 3 : 4;
  if ((!core && parts[1] !== 'apis') || parts.length < first) return undefined;
  const group = core ? '' : (parts[2] as string);
  const version = parts[first - 1] as string;
  let rest = parts.slice(first);
  let namespace = '';
  // `namespaces/NAME/finalize` and `/status` are subresources of the namespace itself.
  const inNamespace = rest[0] === 'namespaces' && rest.length > 2;
  if (inNamespace && !(core && rest.length === 3 && (rest[2] === 'finalize' || rest[2] === 'status'))) {
    namespace = rest[1] as string;
    rest = rest.slice(2);
  }
  if (rest.length > 3) return undefined;
  const [resource = '', name = '', subresource = ''] = rest;
  return { group, version, resource, namespace, name, subresource };
}
