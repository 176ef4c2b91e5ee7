/** The contexts of the kubeconfig that a command would take. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Target } from '../client-options.ts';
import { parse } from '../yaml.ts';

export function contextNames({ kubeconfig, isPlugin }: Target): readonly string[] {
  const variable = isPlugin ? process.env['KUBECONFIG'] : undefined;
  const files = kubeconfig !== undefined ? [kubeconfig] : (variable?.split(':') ?? []);
  const readable = files.filter((file) => file !== '');
  if (readable.length === 0) readable.push(join(process.env['HOME'] ?? homedir(), '.kube/config'));
  return readable.flatMap((file) => {
    const { contexts = [] } = parse(readFileSync(file, 'utf8')) as { contexts?: readonly { readonly name: string }[] };
    return contexts.map(({ name }) => name);
  });
}
