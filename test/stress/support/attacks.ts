/** Requests that mean harm, with the answers they get: those of kube-apiserver, where it has one. */
import { gzipSync } from 'node:zlib';

export interface Attack {
  readonly name: string;
  readonly request: Buffer;
  /** The code of the answer. */
  readonly code: number;
  /** What the answer says. */
  readonly says?: string;
}

const GROUP = '/apis/storage.clawbernetes.io/v1alpha1';
export const VOLUMES = `${GROUP}/namespaces/default/volumes`;
const MAPS = '/api/v1/namespaces/default/configmaps';
const MAX_BODY = 3 * 1024 * 1024;
const JSON_PATCH = 'application/json-patch+json';
const MERGE = 'application/merge-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

/** A request as it goes over the wire. */
export function wire(
  token: string,
  method: string,
  path: string,
  body?: string | Buffer,
  type = 'application/json',
  more = '',
): Buffer {
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(body as string);
  const length = body === undefined ? '' : `Content-Type: ${type}\r\nContent-Length: ${bytes.length}\r\n`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${more}${length}\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

/** A volume as JSON text; `metadata` and `spec` are further members, with the comma before them. */
export function volumeText(name: string, metadata = '', spec = ''): string {
  return `{"apiVersion":"storage.clawbernetes.io/v1alpha1","kind":"Volume","metadata":{"name":"${name}"${metadata}},"spec":{"emptyDir":{}${spec}}}`;
}

const many = (count: number, item: (index: number) => string, separator = ','): string =>
  Array.from({ length: count }, (_, index) => item(index)).join(separator);

const YAML =
  'apiVersion: storage.clawbernetes.io/v1alpha1\nkind: Volume\nmetadata: {name: attacked}\nspec: {emptyDir: {}}\n';

/** Everything that is one request with one answer. The volume `attacked` and the config map `attacked` are there. */
export function attacks(token: string): readonly Attack[] {
  const post = (body: string | Buffer, path = VOLUMES, more = ''): Buffer =>
    wire(token, 'POST', path, body, 'application/json', more);
  const patch = (type: string, body: string, query = ''): Buffer =>
    wire(token, 'PATCH', `${VOLUMES}/attacked${query}`, body, type);
  const status = (body: string): Buffer => wire(token, 'PATCH', `${VOLUMES}/attacked/status`, body, MERGE);
  const apply = (body: string): Buffer => patch(APPLY, body, '?fieldManager=m');
  const get = (path: string, more = ''): Buffer => wire(token, 'GET', path, undefined, '', more);
  const raw = (text: string): Buffer => Buffer.from(text.replaceAll('TOKEN', token));
  const head = `POST ${VOLUMES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  return [
    // Size
    {
      name: 'a body of which it says that it is too large',
      request: raw(`${head}Content-Length: 99999999999\r\n\r\n`),
      code: 413,
    },
    {
      name: 'a body that is too large',
      request: post(Buffer.alloc(MAX_BODY + 1, 0x20)),
      code: 413,
      says: `limit is ${MAX_BODY}`,
    },
    {
      name: 'an object that is too large to be stored',
      request: post(volumeText('big', `,"annotations":{"a":"${'x'.repeat(2e6)}"}`)),
      code: 413,
    },
    {
      name: 'a config map above its limit',
      request: wire(token, 'POST', MAPS, `{"metadata":{"name":"big"},"data":{"a":"${'x'.repeat(1.2e6)}"}}`),
      code: 422,
    },
    {
      name: 'annotations above their limit',
      request: patch(MERGE, `{"metadata":{"annotations":{"a":"${'x'.repeat(300_000)}"}}}`),
      code: 422,
    },
    { name: 'a million spaces', request: post(`${' '.repeat(1e6)}${volumeText('x'.repeat(64))}`), code: 422 },
    // Depth
    { name: 'a million open brackets', request: post(`{"a":${'['.repeat(1e6)}`), code: 400 },
    {
      name: 'brackets that are all closed',
      request: post(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`),
      code: 400,
      says: 'exceeded max depth',
    },
    { name: 'objects in objects', request: post('{"a":'.repeat(400_000)), code: 400 },
    {
      name: 'a merge patch that is too deep',
      request: patch(MERGE, `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`),
      code: 400,
    },
    {
      name: 'a JSON patch with a deep value',
      request: patch(JSON_PATCH, `[{"op":"add","path":"/x","value":${'['.repeat(5000)}${']'.repeat(5000)}}]`),
      code: 400,
    },
    // JSON
    { name: 'no JSON', request: post('{"apiVersion":'), code: 400 },
    {
      name: 'bytes that are no UTF-8',
      request: post(Buffer.concat([Buffer.from(volumeText('bad').slice(0, -1)), Buffer.from([0xc3, 0x28])])),
      code: 400,
    },
    {
      name: 'a number without end',
      request: status(`{"status":{"observedGeneration":${'9'.repeat(1e6)}}}`),
      code: 422,
    },
    { name: 'a number that is infinite', request: status('{"status":{"observedGeneration":1e999}}'), code: 422 },
    {
      name: 'a hundred thousand duplicate keys',
      request: wire(
        token,
        'POST',
        `${VOLUMES}?fieldValidation=Strict`,
        `${volumeText('dup').slice(0, -1)}${',"k":1'.repeat(100_000)}}`,
      ),
      code: 400,
      says: 'duplicate field',
    },
    {
      name: 'a hundred thousand unknown fields',
      request: wire(
        token,
        'POST',
        `${VOLUMES}?fieldValidation=Strict`,
        `${volumeText('unknown').slice(0, -1)},${many(100_000, (i) => `"k${i}":1`)}}`,
      ),
      code: 400,
      says: 'unknown field',
    },
    {
      name: 'keys of the prototype',
      request: wire(
        token,
        'POST',
        `${VOLUMES}?fieldValidation=Strict`,
        volumeText('proto', ',"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}'),
      ),
      code: 400,
      says: 'unknown field',
    },
    {
      name: 'a JSON patch of the prototype',
      request: patch(JSON_PATCH, '[{"op":"add","path":"/__proto__/polluted","value":1}]'),
      code: 422,
    },
    {
      name: 'a merge patch of the prototype',
      request: patch(MERGE, '{"__proto__":{"polluted":1},"spec":{"capacity":"0"}}'),
      code: 422,
    },
    // Cost
    {
      name: 'fifty thousand wrong labels',
      request: post(volumeText('labels', `,"labels":{${many(50_000, (i) => `"k${i}":"_"`)}}`)),
      code: 422,
      says: 'more',
    },
    {
      name: 'fifty thousand wrong finalizers',
      request: post(volumeText('finalizers', `,"finalizers":[${many(50_000, (i) => `"_${i}"`)}]`)),
      code: 422,
    },
    {
      name: 'a list longer than it may be',
      request: post(volumeText('options', '', `,"mountOptions":[${many(100_000, () => '"a=b"')}]`)),
      code: 422,
    },
    {
      name: 'a text longer than it may be, for its pattern',
      request: post(volumeText('capacity', '', `,"capacity":"${'1'.repeat(1e6)}"`)),
      code: 422,
    },
    {
      name: 'a path made of steps up, for its rules',
      request: post(volumeText('path').replace('"emptyDir":{}', `"hostPath":{"path":"/${'../'.repeat(300_000)}"}`)),
      code: 422,
    },
    { name: 'a name of a million letters', request: post(volumeText('a-'.repeat(500_000))), code: 422 },
    {
      name: 'copies of copies',
      request: patch(JSON_PATCH, `[${many(40, (i) => `{"op":"copy","from":"/metadata","path":"/metadata/x${i}"}`)}]`),
      code: 422,
    },
    {
      name: 'copies into itself',
      request: patch(
        JSON_PATCH,
        `[{"op":"add","path":"/x","value":["${'a'.repeat(1000)}"]},${many(40, () => '{"op":"copy","from":"/x","path":"/x/-"}')}]`,
      ),
      code: 422,
    },
    {
      name: 'too many operations',
      request: patch(JSON_PATCH, `[${many(10_001, () => '{"op":"test","path":"/kind","value":"Volume"}')}]`),
      code: 413,
    },
    {
      name: 'a pointer of half a million steps',
      request: patch(JSON_PATCH, `[{"op":"test","path":"${'/a'.repeat(500_000)}","value":1}]`),
      code: 422,
    },
    {
      name: 'a strategic patch of two long lists',
      request: wire(
        token,
        'PATCH',
        `${MAPS}/attacked`,
        `{"metadata":{"ownerReferences":[${many(10_000, (i) => `{"apiVersion":"v1","kind":"","name":"n","uid":"${i}"}`)}]}}`,
        STRATEGIC,
      ),
      code: 422,
    },
    // YAML
    {
      name: 'a bomb of aliases',
      request: apply(
        `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${many(9, (i) => `a${i + 1}: &a${i + 1} [${many(9, () => `*a${i}`)}]\n`, '')}${YAML}`,
      ),
      code: 400,
      says: 'exhaustion',
    },
    { name: 'deep YAML', request: apply(`${YAML}x: ${'['.repeat(20_000)}${']'.repeat(20_000)}`), code: 400 },
    { name: 'YAML that takes a minute to read', request: apply(YAML + 'a: '.repeat(900_000)), code: 400 },
    {
      name: 'YAML with a second document that nobody reads',
      request: apply(`${YAML}---\n!!js/function x\n`),
      code: 200,
    },
    // Protobuf, compression
    {
      name: 'damaged protobuf',
      request: wire(
        token,
        'POST',
        '/api/v1/namespaces',
        Buffer.concat([Buffer.from('k8s\0'), Buffer.alloc(1e6, 0x7f)]),
        'application/vnd.kubernetes.protobuf',
      ),
      code: 400,
    },
    {
      name: 'a body that is a bomb in gzip',
      request: post(gzipSync(Buffer.alloc(5e7)), VOLUMES, 'Content-Encoding: gzip\r\n'),
      code: 400,
    },
    // Queries
    {
      name: 'a label selector of a thousand terms',
      request: get(`${VOLUMES}?labelSelector=${'a%3Db,'.repeat(5000)}a`),
      code: 200,
    },
    {
      name: 'a label selector with a set without end',
      request: get(`${VOLUMES}?labelSelector=a+in+(${'b,'.repeat(20_000)}`),
      code: 400,
    },
    {
      name: 'a label selector that is one long word',
      request: get(`${VOLUMES}?labelSelector=${'a'.repeat(50_000)}`),
      code: 400,
    },
    {
      name: 'a field selector of thousands of terms',
      request: get(`${VOLUMES}?fieldSelector=${'metadata.name%3Da,'.repeat(2500)}`),
      code: 200,
    },
    {
      name: 'a field that nobody may select',
      request: get(`${VOLUMES}?fieldSelector=__proto__%3Da`),
      code: 400,
      says: 'field label not supported',
    },
    {
      name: 'a made-up continue token',
      request: get(`${VOLUMES}?limit=1&continue=${'A'.repeat(50_000)}`),
      code: 400,
      says: 'continue',
    },
    { name: 'a version of the far future', request: get(`${VOLUMES}?resourceVersion=9007199254740000`), code: 504 },
    {
      name: 'a time limit that is no number',
      request: get(`${VOLUMES}?watch=1&timeoutSeconds=99999999999999999999`),
      code: 400,
    },
    // HTTP
    { name: 'headers that are too large', request: get(VOLUMES, `X: ${'a'.repeat(70_000)}\r\n`), code: 431 },
    { name: 'a URL that is too long', request: get(`${VOLUMES}/${'a'.repeat(70_000)}`), code: 431 },
    { name: 'too many headers', request: get(VOLUMES, 'X: aaaaaaaaaaaa\r\n'.repeat(5000)), code: 431 },
    { name: 'an escape that is none', request: get('/api/v1/namespaces/%zz'), code: 400 },
    {
      name: 'a media type that nobody reads',
      request: wire(token, 'POST', VOLUMES, volumeText('a'), 'text/plain'),
      code: 415,
    },
    { name: 'an answer that nobody writes', request: get(VOLUMES, 'Accept: image/png\r\n'), code: 406 },
    { name: 'an expectation that nobody meets', request: get(VOLUMES, 'Expect: the-unexpected\r\n'), code: 417 },
    { name: 'a length that is no number', request: raw(`${head}Content-Length: -1\r\n\r\n`), code: 400 },
    { name: 'two lengths', request: raw(`${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`), code: 400 },
    {
      name: 'a length and chunks (request smuggling)',
      request: raw(`${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
      code: 400,
    },
    {
      name: 'chunks with a size that is no number',
      request: raw(`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`),
      code: 400,
    },
    {
      name: 'a chunk with a size beyond all bounds',
      request: raw(`${head}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}`),
      code: 400,
    },
    {
      name: 'headers with a line break in a value',
      request: raw(`GET ${VOLUMES} HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n`),
      code: 400,
    },
    {
      name: 'a version of HTTP that does not exist',
      request: raw(`GET ${VOLUMES} HTTP/9.9\r\nHost: x\r\n\r\n`),
      code: 400,
    },
    { name: 'HTTP/2 where it was not agreed on', request: raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), code: 400 },
    { name: 'no HTTP at all', request: Buffer.from([0, 1, 2, 3, 0xff, 0xfe, 13, 10, 13, 10]), code: 400 },
    {
      name: 'a credential of 50,000 letters',
      request: raw(`GET ${VOLUMES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${'a'.repeat(50_000)}\r\n\r\n`),
      code: 401,
    },
  ];
}
