import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Attributes } from '../access/attributes.ts';
import { mediaType } from './body.ts';

const VERBS: Readonly<Record<string, string>> = {
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETECOLLECTION',
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
};

/**
 * Counts answered requests as kube-apiserver's metric `apiserver_request_total` does, with those of its labels that tell
 * requests of ours apart. An apply is not a PATCH there.
 */
export class RequestCounter {
  readonly #counts = new Map<string, number>();

  /** Counts the request when it has been answered. */
  watch(request: IncomingMessage, response: ServerResponse, { verb, group, resource, subresource }: Attributes): void {
    const isApply = verb === 'patch' && mediaType(request).startsWith('application/apply-patch');
    const name = isApply ? 'APPLY' : (VERBS[verb] ?? verb.toUpperCase());
    const labels = `group="${group}",resource="${resource}",subresource="${subresource}",verb="${name}"`;
    response.once('close', () => {
      const series = `code="${response.statusCode}",${labels}`;
      this.#counts.set(series, (this.#counts.get(series) ?? 0) + 1);
    });
  }

  /** The text format of Prometheus. Resources are known ones only, so the series are bounded. */
  toString(): string {
    const lines = [...this.#counts].map(([series, count]) => `apiserver_request_total{${series}} ${count}`).sort();
    return [
      '# HELP apiserver_request_total Requests by verb, resource and status code of the answer.',
      '# TYPE apiserver_request_total counter',
      ...lines,
      '',
    ].join('\n');
  }
}
