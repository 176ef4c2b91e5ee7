/** The files of manifests/monitoring, as tests read them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const FOLDER = join(import.meta.dirname, '../../manifests/monitoring');

export const RULES_FILE = join(FOLDER, 'prometheus-rules.yaml');
export const RULES_TEST_FILE = join(FOLDER, 'prometheus-rules-test.yaml');
export const DASHBOARD_FILE = join(FOLDER, 'grafana-dashboard.json');

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface RulesTest {
  readonly tests: readonly {
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
  }[];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

export function readRules(): readonly Rule[] {
  const { groups } = parse(readFileSync(RULES_FILE, 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

export function readRulesTest(): RulesTest {
  return parse(readFileSync(RULES_TEST_FILE, 'utf8')) as RulesTest;
}

export function readPanels(): readonly Panel[] {
  return (JSON.parse(readFileSync(DASHBOARD_FILE, 'utf8')) as { readonly panels: readonly Panel[] }).panels;
}

/** Every query of the dashboard, with what Grafana puts in the place of its variables. */
export function readQueries(): readonly string[] {
  return readPanels().flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr.replaceAll('$namespace', '.*').replaceAll('$__rate_interval', '5m')),
  );
}

/** Names of metrics in an expression. */
export function metricsIn(expr: string): readonly string[] {
  return [
    ...new Set(expr.match(/\b(?:clawstore|controller_runtime|workqueue|rest_client|leader_election)_\w+/g) ?? []),
  ];
}
