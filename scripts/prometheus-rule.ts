/**
 * Packs the alerts of manifests/monitoring as the resource that the Prometheus operator reads.
 *
 *   node scripts/prometheus-rule.ts
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MANIFESTS = join(import.meta.dirname, '../manifests');
export const PROMETHEUS_RULE = join(MANIFESTS, 'kubernetes/overlays/prometheus-operator/prometheus-rule.yaml');

const HEAD = `# Made by scripts/prometheus-rule.ts of manifests/monitoring/prometheus-rules.yaml. Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: clawstore
  namespace: clawstore-system
  labels: {app.kubernetes.io/name: clawstore}
spec:
`;

/** The resource as text; its rules are those of the file, word for word. */
export function prometheusRule(): string {
  const rules = readFileSync(join(MANIFESTS, 'monitoring/prometheus-rules.yaml'), 'utf8');
  const groups = rules.slice(rules.indexOf('groups:\n'));
  return HEAD + groups.replace(/^(?=.)/gm, '  ');
}

if (import.meta.main) writeFileSync(PROMETHEUS_RULE, prometheusRule());
