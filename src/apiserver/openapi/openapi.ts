import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { subresources } from '../discovery/discovery.ts';
import { sendJson } from '../http/respond.ts';
import type { Resource } from '../kinds/resource.ts';
import { type Document, documentOf } from './document.ts';
import { protobufV2 } from './v2.ts';

/** OpenAPI: `/openapi/v3` with a document for each group version, and an almost empty `/openapi/v2`. */
export class OpenApi {
  readonly #documents = new Map<string, { readonly json: string; readonly hash: string }>();
  readonly #resources: readonly Resource[];
  readonly #paths: readonly string[];

  constructor(resources: readonly Resource[]) {
    this.#resources = resources;
    this.#paths = [...new Set(resources.map(pathOf)), 'apis/authorization.k8s.io/v1'];
  }

  /** Answers a path of OpenAPI; false for any other. */
  handle(request: IncomingMessage, response: ServerResponse, path: string, _query: URLSearchParams): boolean {
    if (path === '/openapi/v3') {
      const paths = Object.fromEntries(
        this.#paths.map((name) => [
          name,
          { serverRelativeURL: `/openapi/v3/${name}?hash=${this.#document(name).hash}` },
        ]),
      );
      sendJson(request, response, 200, JSON.stringify({ paths }));
      return true;
    }
    if (path === '/openapi/v2') {
      const body = protobufV2();
      const asJson = request.headers.accept?.includes('protobuf') !== true;
      if (asJson) {
        const empty = {
          swagger: '2.0',
          info: { title: 'Kubernetes', version: 'unversioned' },
          paths: {},
          definitions: {},
        };
        sendJson(request, response, 200, JSON.stringify(empty));
        return true;
      }
      response.writeHead(200, {
        'Content-Type': 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
        'Content-Length': body.length,
      });
      response.end(body);
      return true;
    }
    if (!path.startsWith('/openapi/v3/')) return false;
    const name = path.slice('/openapi/v3/'.length);
    if (!this.#paths.includes(name)) return false;
    const { json, hash } = this.#document(name);
    response.setHeader('ETag', `"${hash}"`);
    if (request.headers['if-none-match'] === `"${hash}"`) {
      response.writeHead(304);
      response.end();
    } else sendJson(request, response, 200, json);
    return true;
  }

  #document(path: string): { readonly json: string; readonly hash: string } {
    let document = this.#documents.get(path);
    if (document === undefined) {
      const content: Document = documentOf(
        this.#resources.filter((resource) => pathOf(resource) === path),
        subresources,
      );
      const json = JSON.stringify(content);
      document = { json, hash: createHash('sha512').update(json).digest('hex').toUpperCase() };
      this.#documents.set(path, document);
    }
    return document;
  }
}

function pathOf({ group, version }: Resource): string {
  return group === '' ? `api/${version}` : `apis/${group}/${version}`;
}
