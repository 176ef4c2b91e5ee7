import { randomBytes } from 'node:crypto';
import { Agent, request } from 'undici';
import type { Case, Step } from './apiserver-cases.ts';

/** A server under test. */
export interface Target {
  readonly url: string;
  readonly token: string;
  /** Undefined: its certificate is not checked. */
  readonly ca: string | undefined;
}

/** What a server answered, without what differs from run to run. */
export interface Answer {
  readonly code: number;
  readonly type: string;
  readonly warnings: readonly string[];
  readonly body: unknown;
}

/** Sends the requests of cases to one server. */
export class CaseClient {
  readonly #target: Target;
  readonly #agent: Agent;

  constructor(target: Target) {
    this.#target = target;
    this.#agent = new Agent({ connect: target.ca === undefined ? { rejectUnauthorized: false } : { ca: target.ca } });
  }

  /** Runs a case in a namespace of its own. */
  async run({ steps }: Case): Promise<Answer[]> {
    const namespace = `case-${randomBytes(5).toString('hex')}`;
    await this.#send(
      { method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: namespace } } },
      namespace,
    );
    const answers: Answer[] = [];
    for (const step of steps) answers.push(await this.#send(step, namespace));
    await this.#send({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}` }, namespace);
    return answers;
  }

  async #send(step: Step, namespace: string): Promise<Answer> {
    const body =
      step.raw ?? (step.body === undefined ? undefined : JSON.stringify(step.body).replaceAll('{ns}', namespace));
    const response = await request(this.#target.url + step.path.replaceAll('{ns}', namespace), {
      method: step.method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#target.token}`,
        'user-agent': 'contract/1.0',
        accept: step.accept ?? 'application/json',
        ...(body === undefined ? {} : { 'content-type': step.type ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const text = await response.body.text();
    const type = String(response.headers['content-type'] ?? '');
    const warnings = [response.headers['warning'] ?? []].flat();
    return {
      code: response.statusCode,
      type,
      warnings: warnings.map((warning) => steady(warning, namespace)),
      body: type.startsWith('application/json') ? normalise(JSON.parse(text), namespace, '') : steady(text, namespace),
    };
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }
}

const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

function steady(text: string, namespace: string): string {
  return text
    .replaceAll(namespace, '{ns}')
    .replaceAll(UID, 'UID')
    .replaceAll(/(resourceVersion\\*":\\*")\d+/g, '$1RV')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (time) => (time.startsWith('2026-01-01') ? time : 'TIME'))
    .replaceAll(/in record \(\d+\)/g, 'in record (RV)');
}

const TIMES = new Set(['creationTimestamp', 'deletionTimestamp', 'time']);
const IGNORED = new Set(['storageVersionHash', 'remainingItemCount']);

/** Replaces what differs from run to run; keys are sorted. */
function normalise(value: unknown, namespace: string, key: string): unknown {
  if (typeof value === 'string') {
    if (key === 'resourceVersion' && /^\d+$/.test(value)) return 'RV';
    if (TIMES.has(key)) return 'TIME';
    if (key === 'continue') return 'TOKEN';
    return steady(value, namespace);
  }
  if (Array.isArray(value)) return value.map((item) => normalise(item, namespace, key === 'cells' ? key : ''));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, item]) => !IGNORED.has(name) && !(TIMES.has(name) && item === null))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, normalise(item, namespace, name)]),
  );
}
