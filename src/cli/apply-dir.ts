/** Applies the manifests of a directory, as `kubectl apply --server-side -f DIR` would. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FIELD_MANAGERS } from '../api/group.ts';
import { apiVersionOf, type KubeObjectBase, type ResourceDescriptor } from '../api/meta.ts';
import type { KubeClient, ObjectRef } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { APPLICABLE } from '../sync/kinds.ts';
import { CliError, ExitCode } from './exit-code.ts';

/** One object that was applied. */
export interface Applied {
  readonly resource: ResourceDescriptor;
  readonly ref: ObjectRef;
}

/**
 * Applies manifests in their order.
 * @throws CliError that names the file and the object at fault; what was applied before it stays.
 */
export async function applyManifests(
  client: KubeClient,
  manifests: readonly Manifest[],
  signal: AbortSignal,
): Promise<readonly Applied[]> {
  const applied: Applied[] = [];
  for (const { file, resource, object } of manifests) {
    const { name } = object.metadata;
    const ref = resource.namespaced ? { namespace: object.metadata.namespace ?? 'default', name } : { name };
    try {
      const options = {
        type: 'apply',
        fieldManager: FIELD_MANAGERS.up,
        force: true,
        fieldValidation: 'Strict',
      } as const;
      await client.patch(resource, ref, object, { ...options, signal });
    } catch (thrown) {
      const error = KubeError.from(thrown);
      throw new CliError(ExitCode.failed, `${file}: ${object.kind} ${name}: ${error.message}`, { cause: error });
    }
    applied.push({ resource, ref });
  }
  return applied;
}

export interface Manifest {
  readonly file: string;
  readonly resource: ResourceDescriptor;
  readonly object: KubeObjectBase;
}

/**
 * Reads every document of every `.yaml`, `.yml` and `.json` file of the directory (not of its subdirectories), in an
 * order in which they can be applied.
 * @throws CliError that names the file and what is wrong with it.
 */
export async function readManifests(directory: string): Promise<readonly Manifest[]> {
  let names: readonly string[];
  try {
    names = readdirSync(directory).filter((name) => /\.(ya?ml|json)$/.test(name));
  } catch (cause) {
    throw new CliError(ExitCode.usage, `--apply: the directory ${directory} cannot be read`, { cause });
  }
  const { parseAllDocuments } = await import('./yaml.ts');
  const manifests = names.toSorted().flatMap((name) => {
    const file = join(directory, name);
    return parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => {
      const problem = 'errors' in document ? document.errors[0] : undefined;
      if (problem !== undefined) throw new CliError(ExitCode.usage, `${file}: ${problem.message}`, { cause: problem });
      const value: unknown = 'toJS' in document ? document.toJS() : undefined;
      return value === undefined || value === null ? [] : [manifestOf(file, value)];
    });
  });
  return manifests.toSorted((a, b) => APPLICABLE.indexOf(a.resource) - APPLICABLE.indexOf(b.resource));
}

function manifestOf(file: string, value: unknown): Manifest {
  const object = value as Partial<KubeObjectBase>;
  const named = `${object.apiVersion ?? '(no apiVersion)'} ${object.kind ?? '(no kind)'}`;
  const resource = APPLICABLE.find((known) => apiVersionOf(known) === object.apiVersion && known.kind === object.kind);
  if (resource === undefined) {
    throw new CliError(ExitCode.usage, `${file}: ${named} is not a kind that this control plane keeps`);
  }
  if (typeof object.metadata?.name !== 'string')
    throw new CliError(ExitCode.usage, `${file}: ${named}: metadata.name is missing`);
  return { file, resource, object: object as KubeObjectBase };
}
