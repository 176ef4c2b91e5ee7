import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { Json, JsonObject } from '../../../src/apiserver/schema/json-value.ts';
import { CASES, type Case, GROUP, LATE, SCHEMAS, withoutConditions } from './kubernetes-cases.ts';

/**
 * Records what a real kube-apiserver says to the cases, into kubernetes-answers.json. Run by hand when cases change:
 * `APISERVER=https://127.0.0.1:6443 TOKEN=… node test/apiserver/schema/record-kubernetes-answers.ts`
 * The token must be an administrator's; the CRDs of the group schema.example.com are replaced.
 */
const { APISERVER: server, TOKEN: token } = process.env;
if (server === undefined || token === undefined) throw new Error('set APISERVER and TOKEN');

/** A test server signs its own certificate. */
const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
/** How long the server takes to notice a changed schema. */
const SETTLE = 4000;
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

interface Reply {
  readonly code: number;
  readonly body: JsonObject;
  readonly warnings: string[];
}

async function call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: Json): Promise<Reply> {
  const reply = await request(`${server}${path}`, {
    method,
    dispatcher,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const header = String(reply.headers.warning ?? '');
  const warnings = [...header.matchAll(/299 - "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    (match[1] ?? '').replace(/\\(.)/g, '$1'),
  );
  return { code: reply.statusCode, body: (await reply.body.json()) as JsonObject, warnings };
}

async function expectCode(code: number, what: string, reply: Promise<Reply>): Promise<JsonObject> {
  const { code: actual, body } = await reply;
  if (actual !== code) throw new Error(`${what}: ${String(body.message)}`);
  return body;
}

function plural(kind: string): string {
  return `${kind.toLowerCase()}s`;
}

function collection(kind: string): string {
  return `/apis/${GROUP}/v1/namespaces/default/${plural(kind)}`;
}

function definition(kind: string, schema: Json): JsonObject {
  const names = { kind, plural: plural(kind), singular: kind.toLowerCase(), listKind: `${kind}List` };
  const subresources: JsonObject = kind === 'Value' ? { status: {} } : {};
  const version = { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema }, subresources };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural(kind)}.${GROUP}` },
    spec: { group: GROUP, scope: 'Namespaced', names, versions: [version] },
  };
}

function send({ schema, object, fieldValidation, subresource }: Case, name: string, old?: JsonObject): Promise<Reply> {
  const query = fieldValidation === undefined ? '' : `?fieldValidation=${fieldValidation}`;
  const version = (old?.metadata as JsonObject | undefined)?.resourceVersion;
  const metadata: JsonObject = { ...(object.metadata as JsonObject), name };
  if (version !== undefined) metadata.resourceVersion = version;
  const body: JsonObject = { apiVersion: `${GROUP}/v1`, kind: schema, ...object, metadata };
  if (old === undefined) return call('POST', `${collection(schema)}${query}`, body);
  return call(
    'PUT',
    `${collection(schema)}/${name}${subresource === undefined ? '' : `/${subresource}`}${query}`,
    body,
  );
}

function create({ schema, name: title, from }: Case, name: string): Promise<JsonObject> {
  const body: JsonObject = { apiVersion: `${GROUP}/v1`, kind: schema, ...from, metadata: { name } };
  return expectCode(201, title, call('POST', collection(schema), body));
}

function answer({ code, body, warnings }: Reply, name: string): Json {
  if (code >= 300) {
    const causes = sortCauses((body.details as JsonObject | undefined)?.causes);
    const message = String(body.message).replaceAll(`"${name}" is invalid`, '"x" is invalid');
    return { code, message, ...(causes === undefined ? {} : { causes }), warnings };
  }
  const { spec, status } = body;
  const object: JsonObject = { ...(spec === undefined ? {} : { spec }), ...(status === undefined ? {} : { status }) };
  return { code: 200, object, warnings };
}

/** The server lists causes in random order; sorting keeps the file stable. */
function sortCauses(causes: Json | undefined): Json | undefined {
  if (!Array.isArray(causes)) return causes;
  return causes.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

for (const [kind, schema] of Object.entries(SCHEMAS)) {
  const path = `${CRDS}/${plural(kind)}.${GROUP}`;
  await call('DELETE', path);
  while ((await call('GET', path)).code !== 404) await sleep(200);
  const first = (LATE.has(kind) ? withoutConditions(schema) : schema) as unknown as Json;
  await expectCode(201, kind, call('POST', CRDS, definition(kind, first)));
}
await sleep(SETTLE);

const early = new Map<Case, JsonObject>();
for (const [index, test] of CASES.entries()) {
  if (LATE.has(test.schema)) early.set(test, await create(test, `x${index}`));
}
for (const kind of LATE) {
  const path = `${CRDS}/${plural(kind)}.${GROUP}`;
  const { metadata } = (await call('GET', path)).body;
  const schema = SCHEMAS[kind as Case['schema']] as unknown as Json;
  await expectCode(200, kind, call('PUT', path, { ...definition(kind, schema), metadata: metadata as Json }));
}
await sleep(SETTLE);

const answers: JsonObject = {};
for (const [index, test] of CASES.entries()) {
  const late = early.get(test);
  const name = late === undefined ? 'x' : `x${index}`;
  if (late === undefined) await call('DELETE', `${collection(test.schema)}/${name}`);
  const old = late ?? (test.from === undefined ? undefined : await create(test, name));
  answers[`${test.schema}: ${test.name}`] = answer(await send(test, name, old), name);
}
writeFileSync(new URL('./kubernetes-answers.json', import.meta.url), `${JSON.stringify(answers, null, 2)}\n`);
console.log(`${Object.keys(answers).length} answers recorded`);
