import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { parse } from 'yaml';
import type { Case, Step } from './cases/support.ts';

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

const UNTIL_MS = 30_000;
const POLL_MS = 20;
const INITIALIZING_MS = 500;

/** Sends the requests of cases to one server. */
export class CaseClient {
  readonly #target: Target;
  readonly #agent: Agent;

  constructor(target: Target) {
    this.#target = target;
    this.#agent = new Agent({
      allowH2: false,
      connect: target.ca === undefined ? { rejectUnauthorized: false } : { ca: target.ca },
    });
  }

  /** Runs a case in a namespace of its own. */
  async run({ steps }: Case): Promise<Answer[]> {
    const namespace = `case-${randomBytes(5).toString('hex')}`;
    const names = new Map([['ns', namespace]]);
    await this.#send({ method: 'POST', path: '/api/v1/namespaces', body: { metadata: { name: namespace } } }, names);
    const answers: Answer[] = [];
    for (const step of steps) answers.push(await this.#settled(step, names));
    // It stays: emptying hundreds of namespaces takes a real controller-manager longer than all cases.
    return answers;
  }

  /** The answer, once it has the code that the step waits for. */
  async #settled(step: Step, names: Map<string, string>): Promise<Answer> {
    const deadline = performance.now() + UNTIL_MS;
    for (;;) {
      const answer = await this.#send(step, names);
      if (step.until === undefined || answer.code === step.until) return answer;
      if (performance.now() > deadline) throw new Error(`${step.path} never answered ${step.until}: ${answer.code}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #send(step: Step, names: Map<string, string>): Promise<Answer> {
    const namespace = names.get('ns') ?? '';
    const fill = (text: string): string => text.replaceAll(/\{(\w+)\}/g, (all, name: string) => names.get(name) ?? all);
    const text = step.raw ?? (step.body === undefined ? undefined : fill(JSON.stringify(step.body)));
    const body = step.binary?.(namespace) ?? text;
    const response = await request(this.#target.url + fill(step.path), {
      method: step.method,
      dispatcher: this.#agent,
      bodyTimeout: UNTIL_MS,
      headers: {
        authorization: `Bearer ${this.#target.token}`,
        'user-agent': 'contract/1.0',
        accept: step.accept ?? 'application/json',
        ...(body === undefined ? {} : { 'content-type': step.type ?? 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
    });
    const said = await response.body.text();
    if (isInitializing(response.statusCode, said)) {
      await delay(INITIALIZING_MS);
      return this.#send(step, names);
    }
    const type = String(response.headers['content-type'] ?? '');
    const warnings = [response.headers['warning'] ?? []].flat();
    const json = parsed(type, said);
    for (const [name, path] of Object.entries(step.save ?? {})) names.set(name, String(valueAt(json, path)));
    return {
      code: response.statusCode,
      type,
      warnings: warnings.map((warning) => steady(warning, namespace)),
      body: json === undefined ? steady(said, namespace) : normalise(step.select?.(json) ?? json, namespace, ''),
    };
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }
}

/** What the real server says of a kind whose CRD has just come; every client asks again (Retry-After). */
function isInitializing(code: number, text: string): boolean {
  return code === 429 && text.includes('storage is (re)initializing');
}

/** A watch is no JSON document but many, or none. */
function parsed(type: string, text: string): unknown {
  if (type.startsWith('application/yaml')) return parse(text) as unknown;
  if (!type.startsWith('application/json')) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function valueAt(value: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], value);
}

const UID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
/** A name that the server has made from a prefix. */
const GENERATED = /\b([gG]en[-_](?:x{54})?)[bcdfghjklmnpqrstvwxz2456789]{5}\b/g;

function steady(text: string, namespace: string): string {
  return (
    text
      .replaceAll(namespace, '{ns}')
      .replaceAll(UID, 'UID')
      .replaceAll(GENERATED, '$1RANDOM')
      .replaceAll(/(resourceVersion\\*":\\*")\d+/g, '$1RV')
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (time) => (time.startsWith('2026-01-01') ? time : 'TIME'))
      // Grows with the drivers there are.
      .replaceAll(/exactly one source \([^)]*\)/g, 'exactly one source')
      .replaceAll(/in record \(\d+\)/g, 'in record (RV)')
      .replaceAll(/(resource version: \d+, current: )\d+/g, '$1RV')
  );
}

const TIMES = new Set(['creationTimestamp', 'deletionTimestamp', 'time']);
const IGNORED = new Set(['storageVersionHash']);

/** Replaces what differs from run to run; keys are sorted. */
function normalise(value: unknown, namespace: string, key: string): unknown {
  if (typeof value === 'string') {
    if (key === 'resourceVersion' && /^\d+$/.test(value)) return 'RV';
    if (TIMES.has(key)) return 'TIME';
    if (key === 'continue') return 'TOKEN';
    if (key === 'cells' && /^\d+[smhdy](?:\d+[smhd])?$/.test(value)) return 'AGE';
    return steady(value, namespace);
  }
  if (key === 'managedFields' && Array.isArray(value)) {
    // Their order is that of their times, which differ when a second ends in between.
    const entries = value.map((item) => normalise(item, namespace, ''));
    return entries.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  if (Array.isArray(value)) return value.map((item) => normalise(item, namespace, key === 'cells' ? key : ''));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, item]) => !IGNORED.has(name) && !(TIMES.has(name) && item === null))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [steady(name, namespace), normalise(item, namespace, name)]),
  );
}
