/**
 * Writes manifests/argocd/argocd-cm.yaml: the health check of manifests/argocd/health.lua for each of our kinds, since the
 * keys of Argo CD's ConfigMap know no wildcards.
 *
 *   node scripts/argocd-health.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { OUR_RESOURCES } from '../src/api/meta.ts';

const directory = join(import.meta.dirname, '../manifests/argocd');
export const HEALTH_CHECK = join(directory, 'health.lua');
export const ARGOCD_CONFIG = join(directory, 'argocd-cm.yaml');

const HEAD = `# Health checks of our kinds for Argo CD; docs/gitops.md says how they get there and what they mean.
# Made by scripts/argocd-health.ts from health.lua: change that.
`;

/** The whole text of the file. */
export function argocdConfig(): string {
  const script = readFileSync(HEALTH_CHECK, 'utf8');
  const data = Object.fromEntries(
    OUR_RESOURCES.map(
      ({ group, kind }) => [`resource.customizations.health.${group}_${kind}`, script] as const,
    ).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  const config = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'argocd-cm', namespace: 'argocd', labels: { 'app.kubernetes.io/part-of': 'argocd' } },
    data,
  };
  return `${HEAD}${stringify(config, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

if (import.meta.main) writeFileSync(ARGOCD_CONFIG, argocdConfig());
