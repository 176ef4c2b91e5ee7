/** The DaemonSet of the mount holder as it is shipped. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const MOUNT_HOLDER_MANIFEST = join(import.meta.dirname, '../../../manifests/kubernetes/base/mount-holder.yaml');

export interface DaemonSet {
  readonly kind: string;
  readonly spec: {
    readonly updateStrategy: { readonly type: string };
    readonly template: {
      readonly spec: {
        readonly hostPID?: boolean;
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly volumeMounts: readonly { readonly mountPath: string; readonly mountPropagation?: string }[];
        }[];
      };
    };
  };
}

/** What its container runs, with the host paths of a test in the place of those of a real node. */
export function mountHolderArgs(paths: Readonly<Record<string, string>>): readonly string[] {
  const text = readFileSync(MOUNT_HOLDER_MANIFEST, 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as DaemonSet);
  const container = objects.find(({ kind }) => kind === 'DaemonSet')?.spec.template.spec.containers[0];
  if (container === undefined) throw new Error(`${MOUNT_HOLDER_MANIFEST} has no DaemonSet with a container`);
  const replaced = new Set<string>();
  const args = container.args.map((arg) => {
    if (paths[arg] !== undefined) replaced.add(arg);
    return paths[arg] ?? arg;
  });
  if (replaced.size !== Object.keys(paths).length) throw new Error(`the manifest names other paths: ${args.join(' ')}`);
  return args;
}
