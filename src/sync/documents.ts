/** Makes objects of the files of a source; what is no object of ours is named with file and line, and stops nothing else. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { apiVersionOf, type KubeObjectBase, type ObjectMeta, type ResourceDescriptor } from '../api/meta.ts';
import type { ObjectRef } from '../kube/client.ts';
import { cleanText } from '../telemetry/redact.ts';
import { APPLICABLE, isOwnStatus } from './kinds.ts';
import type { SourceFile } from './source.ts';

/** Turns one YAML document into JSON; rejects with what is wrong. Long ones do not block the event loop. */
export type ReadYaml = (text: string) => Promise<{
  readonly json: string;
  /** `line 6: key "color" already set in map` and so on. */
  readonly duplicates: readonly string[];
}>;

/** An object as it stands in the source. */
export interface SourceObject {
  readonly file: string;
  /** Where its document begins, from 1. */
  readonly line: number;
  readonly resource: ResourceDescriptor;
  readonly ref: ObjectRef;
  readonly object: KubeObjectBase;
}

/** A part of the source that no object can be read from. */
export interface BrokenPart {
  readonly file: string;
  readonly line?: number;
  readonly message: string;
  /** What stands there; absent where that is not known, so that anything might. */
  readonly text?: string;
}

export interface SourceObjects {
  readonly objects: readonly SourceObject[];
  readonly broken: readonly BrokenPart[];
}

const MAX_DOCUMENTS = 1000;
const LONGEST_MESSAGE = 300;

interface Document {
  readonly text: string;
  /** Line of the file on which the text begins, from 0. */
  readonly offset: number;
}

/** Reads every document of every file. Of two objects with one name the first counts; the other is broken. */
export async function readObjects(files: readonly SourceFile[], readYaml: ReadYaml): Promise<SourceObjects> {
  const objects = new Map<string, SourceObject>();
  const broken: BrokenPart[] = [];
  for (const file of files) {
    if ('problem' in file) {
      broken.push({ file: file.path, message: file.problem });
      continue;
    }
    for (const { text, offset } of documentsOf(file)) {
      // Many short ones take as long as one that is long.
      await nextTurn();
      try {
        for (const one of await objectsOf(file.path, text, offset, readYaml)) {
          const before = objects.get(keyOfObject(one.resource, one.ref));
          if (before === undefined) {
            objects.set(keyOfObject(one.resource, one.ref), one);
            continue;
          }
          const where = `${before.file}:${before.line}`;
          broken.push({
            file: file.path,
            line: one.line,
            message: `${nameOfObject(one.resource, one.ref)} stands in ${where} already`,
            text: '',
          });
        }
      } catch (thrown) {
        if (!(thrown instanceof DocumentError)) throw thrown;
        const line = thrown.line ?? offset + firstLine(text);
        broken.push({ file: file.path, line, message: cleanText(thrown.message).slice(0, LONGEST_MESSAGE), text });
      }
    }
  }
  return { objects: [...objects.values()], broken };
}

/** `Volume team/data`, or `Namespace team`. */
export function nameOfObject({ kind }: Pick<ResourceDescriptor, 'kind'>, { namespace, name }: ObjectRef): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** Tells the objects of all kinds apart. */
export function keyOfObject(resource: ResourceDescriptor, { namespace, name }: ObjectRef): string {
  return JSON.stringify([resource.group, resource.plural, resource.namespaced ? namespace : undefined, name]);
}

class DocumentError extends Error {
  /** In the file, from 1. */
  readonly line: number | undefined;

  constructor(message: string, line?: number, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.line = line;
  }
}

/** Splits at lines that begin with `---`, as kubectl does; what is nothing but comments and directives is none. */
function documentsOf(file: SourceFile & { readonly text: string }): readonly Document[] {
  if (file.path.endsWith('.json')) return [{ text: file.text, offset: 0 }];
  const documents: Document[] = [];
  let begin = 0;
  const lines = file.text.split('\n');
  const take = (end: number): void => {
    const part = lines.slice(begin, end);
    if (part.some((line) => !/^\s*(?:#.*|%.*|---\s*|\.\.\.\s*)?$/.test(line))) {
      documents.push({ text: part.join('\n'), offset: begin });
    }
    begin = end;
  };
  lines.forEach((line, index) => {
    if (/^---(?:\s|$)/.test(line)) take(index);
  });
  take(lines.length);
  return documents;
}

async function objectsOf(
  file: string,
  text: string,
  offset: number,
  readYaml: ReadYaml,
): Promise<readonly SourceObject[]> {
  const value = file.endsWith('.json') ? parseJson(text) : await parseYaml(text, offset, readYaml);
  const line = offset + firstLine(text);
  if (value === null) return [];
  if (!isMapping(value)) throw new DocumentError('is no object: apiVersion, kind and metadata are missing');
  const { apiVersion, kind, items } = value;
  if (apiVersion !== 'v1' || kind !== 'List') return [objectOf(file, line, value)];
  if (!Array.isArray(items)) throw new DocumentError('v1 List: items must be a list');
  if (items.length > MAX_DOCUMENTS) throw new DocumentError(`v1 List: more than ${MAX_DOCUMENTS} items`);
  return items.map((item: unknown, index) => {
    if (!isMapping(item)) throw new DocumentError(`items[${index}] is no object`);
    return objectOf(file, line, item);
  });
}

/** The words of the parser quote what stands there, which may be secret: only the place is taken from them. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const line = /\(line (\d+) column \d+\)/.exec((cause as Error).message)?.[1];
    throw new DocumentError('is not JSON', line === undefined ? undefined : Number(line), cause);
  }
}

async function parseYaml(text: string, offset: number, readYaml: ReadYaml): Promise<unknown> {
  const read = await readYaml(text).catch((cause: unknown) => {
    const message = (cause as Error).message.replace(/^.*?yaml: /, '');
    const line = /at line (\d+), column \d+/.exec(message)?.[1];
    // After a colon the parser quotes what stands there.
    const what = message.replace(/ at line \d+, column \d+:?.*$/s, '').replace(/: .*$/s, '');
    throw new DocumentError(`is not YAML: ${what}`, line === undefined ? undefined : offset + Number(line), cause);
  });
  const [twice] = read.duplicates;
  if (twice !== undefined) {
    const line = /^line (\d+): /.exec(twice)?.[1];
    const what = twice.replace(/^line \d+: /, '');
    throw new DocumentError(what, line === undefined ? undefined : offset + Number(line));
  }
  return JSON.parse(read.json) as unknown;
}

function objectOf(file: string, line: number, value: Readonly<Record<string, unknown>>): SourceObject {
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    throw new DocumentError(`${typeof kind === 'string' ? 'apiVersion' : 'kind'} is missing`);
  }
  const resource = APPLICABLE.find((known) => apiVersionOf(known) === apiVersion && known.kind === kind);
  if (resource === undefined)
    throw new DocumentError(`${apiVersion} ${kind} is not a kind that this control plane keeps`);
  if (!isMapping(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    throw new DocumentError(`metadata.name of the ${kind} is missing`);
  }
  const { name, namespace, labels, annotations } = metadata;
  for (const [field, map] of Object.entries({ labels, annotations })) {
    if (map !== undefined && map !== null && !isMapping(map)) {
      throw new DocumentError(`${kind} ${name}: metadata.${field} must be a mapping`);
    }
  }
  if (namespace !== undefined && (typeof namespace !== 'string' || namespace === '')) {
    throw new DocumentError(`${kind} ${name}: metadata.namespace must be the name of a namespace`);
  }
  if (!resource.namespaced && namespace !== undefined) {
    throw new DocumentError(`${kind} ${name}: metadata.namespace must be absent, it is cluster-wide`);
  }
  const ref = resource.namespaced ? { namespace: namespace ?? 'default', name } : { name };
  if (isOwnStatus(resource, ref.namespace, name)) {
    throw new DocumentError(`${nameOfObject(resource, ref)} is the status of the sync itself`);
  }
  const object = { ...value, apiVersion, kind, metadata: { ...metadata, ...ref } as ObjectMeta };
  return { file, line, resource, ref, object };
}

/** The first line with content, from 1. */
function firstLine(text: string): number {
  const index = text.split('\n').findIndex((line) => !/^\s*(?:#.*|%.*|---\s*)?$/.test(line));
  return Math.max(index, 0) + 1;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
