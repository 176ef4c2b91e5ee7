import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { toolPath } from '../../scripts/tools.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { exec } from '../support/harness/exec.ts';
import {
  metricsIn,
  RULES_FILE,
  RULES_TEST_FILE,
  readPanels,
  readQueries,
  readRules,
  readRulesTest,
} from '../support/monitoring.ts';

const DOCS = join(import.meta.dirname, '../../docs/backups.md');

/** Names under which what a registry has is stored. */
async function storedNames(): Promise<ReadonlySet<string>> {
  const metrics = await createMetrics().registry.getMetricsAsJSON();
  return new Set(
    metrics.flatMap(({ name, type }) =>
      String(type) === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => `${name}${suffix}`) : [name],
    ),
  );
}

describe('the alerts', function () {
  this.timeout(120_000);

  it('are rules that Prometheus accepts', async () => {
    const { code, stdout, stderr } = await exec(await toolPath('promtool'), ['check', 'rules', RULES_FILE]);
    expect(`${stdout}${stderr}`).to.contain('SUCCESS').and.not.contain('FAILED');
    expect(code).to.equal(0);
  });

  it('fire when they should, and at no other time', async () => {
    const { code, stdout, stderr } = await exec(await toolPath('promtool'), ['test', 'rules', RULES_TEST_FILE]);
    expect(code, `${stdout}${stderr}`).to.equal(0);
  });

  it('have, each of them, a test in which it fires and one in which it does not', () => {
    const tests = readRulesTest().tests.flatMap(({ alert_rule_test: cases }) => cases);
    for (const { alert } of readRules()) {
      const cases = tests.filter(({ alertname }) => alertname === alert);
      expect([...new Set(cases.map(({ exp_alerts: alerts }) => alerts.length > 0))], alert).to.have.members([
        true,
        false,
      ]);
    }
  });

  it('use metrics that exist', async () => {
    const names = await storedNames();
    for (const { alert, expr } of readRules()) {
      const used = metricsIn(expr);
      expect(used, alert).to.not.deep.equal([]);
      expect(
        used.filter((name) => !names.has(name)),
        alert,
      ).to.deep.equal([]);
    }
  });

  it('say how bad it is, what is wrong and what to do, also in the documentation', () => {
    const docs = readFileSync(DOCS, 'utf8');
    for (const { alert, labels, annotations } of readRules()) {
      expect(['warning', 'critical'], alert).to.include(labels['severity']);
      expect(Object.keys(annotations), alert).to.have.members(['summary', 'description']);
      expect(docs, alert).to.contain(`\`${alert}\``);
    }
  });
});

describe('the dashboard', () => {
  it('uses metrics that exist, in every query', async () => {
    const names = await storedNames();
    const queries = readQueries();
    expect(queries.length).to.be.greaterThan(20);
    for (const query of queries) {
      const used = metricsIn(query);
      expect(used, query).to.not.deep.equal([]);
      expect(
        used.filter((name) => !names.has(name)),
        query,
      ).to.deep.equal([]);
    }
  });

  it('shows what there is of the sync', async () => {
    const shown = new Set(readQueries().flatMap(metricsIn));
    const kept = [...(await storedNames())].filter((name) => name.startsWith('clawstore_sync_'));
    // A revision is a text for people, and `clawstore sync status` tells it.
    expect(kept.filter((name) => !shown.has(name))).to.deep.equal(['clawstore_sync_revision_info']);
  });

  it('has panels that lie beside each other, each with an ID of its own', () => {
    const panels = readPanels();
    expect(new Set(panels.map(({ id }) => id)).size).to.equal(panels.length);
    const cells = new Set<string>();
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).to.be.at.most(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.has(`${x} ${y}`), title).to.equal(false);
          cells.add(`${x} ${y}`);
        }
      }
    }
  });
});
