/**
 * Writes `docs/api.md` from the CRDs and the table of reasons: `node scripts/api-docs.ts`. A test fails when the file is not
 * what this makes.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ANNOTATIONS, FIELD_MANAGERS, FINALIZERS } from '../src/api/group.ts';
import { REASONS } from '../src/api/reasons.ts';

interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly default?: unknown;
}

interface Crd {
  readonly spec: {
    readonly scope: string;
    readonly names: { readonly kind: string; readonly shortNames: readonly string[] };
    readonly versions: readonly [{ readonly schema: { readonly openAPIV3Schema: Schema } }];
  };
}

const root = join(import.meta.dirname, '..');
/** Where the page is. */
export const API_DOCS_FILE = join(root, 'docs/api.md');
/** What each condition says, per kind. */
const CONDITIONS: Readonly<Record<string, readonly (readonly [type: string, meaning: string])[]>> = {
  Volume: [
    ['Ready', 'The volume can be used.'],
    ['Reconciling', 'Work is going on. Absent when false.'],
    ['Stalled', 'A person must change something. Absent when false; never with Reconciling.'],
    ['Provisioned', 'The storage exists on its node.'],
    ['CapacityEnforced', 'A writer gets ENOSPC at the capacity.'],
    ['DeletionBlocked', 'The deletion waits; the reason says for what. Absent when false.'],
  ],
  VolumeMount: [
    ['Ready', 'The volume is mounted and answers.'],
    ['Reconciling', 'Work is going on. Absent when false.'],
    ['Stalled', 'A person must change something. Absent when false; never with Reconciling.'],
    ['Mounted', 'The mount is in the mount table, as wanted.'],
    ['Healthy', 'The mount answers, and workloads see the current one.'],
    ['DeletionBlocked', 'The unmount waits; the reason says for what. Absent when false.'],
  ],
  Snapshot: [
    ['Ready', 'The snapshot is complete and can be used.'],
    ['Reconciling', 'Work is going on. Absent when false.'],
    ['Stalled', 'A person must change something. Absent when false; never with Reconciling.'],
    ['ContentConsistent', 'All files are of the same moment; the reason says how that is known.'],
    ['DeletionBlocked', 'The deletion waits; the reason says for what. Absent when false.'],
  ],
  Restore: [
    ['Ready', 'The volume has gone back to the moment of the Snapshot.'],
    ['Reconciling', 'Work is going on, or waits. Absent when false.'],
    ['Stalled', 'It was refused or has failed, and is not tried again. Absent when false; never with Reconciling.'],
  ],
  SnapshotSchedule: [
    ['Ready', 'The schedule is valid and kept to; the message says what a run waits for, or how the last one failed.'],
    ['Stalled', 'The schedule or its time zone is not valid. Absent when false.'],
  ],
  StorageNode: [
    ['Ready', 'The agent works. Unknown when its Lease has expired.'],
    ['Reconciling', 'The agent is starting or recovering. Absent when false.'],
    ['Stalled', 'A person must change something on the node. Absent when false; never with Reconciling.'],
  ],
};

function typeOf(schema: Schema): string {
  if (schema.items !== undefined) return `[]${typeOf(schema.items)}`;
  if (schema.additionalProperties !== undefined) return `map[string]${typeOf(schema.additionalProperties)}`;
  return schema.format === 'date-time' ? 'time' : (schema.type ?? 'object');
}

function cell(text: string): string {
  return text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|').trim();
}

function valuesOf(schema: Schema): string {
  const words = schema.enum ?? schema.items?.enum;
  const parts = words === undefined ? [] : [words.map((word) => (word === '' ? '`""`' : `\`${word}\``)).join(' ')];
  if (schema.default !== undefined && schema.type !== 'object') {
    parts.push(`default \`${JSON.stringify(schema.default)}\``);
  }
  return parts.join('; ');
}

function rows(schema: Schema, path: string): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const here = `${path}.${name}`;
    const must = schema.required?.includes(name) ? 'yes' : '';
    const row = `| \`${here}\` | ${typeOf(field)} | ${must} | ${valuesOf(field)} | ${cell(field.description ?? '')} |`;
    if (name === 'conditions') return [row];
    return [row, ...rows(field.items ?? field, field.items === undefined ? here : `${here}[]`)];
  });
}

function kindSection(crd: Crd): readonly string[] {
  const { names, scope, versions } = crd.spec;
  const schema = versions[0].schema.openAPIV3Schema;
  const lines = [`## ${names.kind}`, '', cell(schema.description ?? ''), ''];
  lines.push(
    `Short name \`${names.shortNames.join('`, `')}\`, ${scope === 'Namespaced' ? 'namespaced' : 'cluster-wide'}.`,
    '',
  );
  lines.push('| field | type | required | values | meaning |', '|---|---|---|---|---|');
  const name = schema.properties?.['metadata']?.properties?.['name'];
  if (name !== undefined) lines.push(`| \`metadata.name\` | string | yes |  | ${cell(name.description ?? '')} |`);
  for (const part of ['spec', 'status']) {
    const field = schema.properties?.[part];
    if (field !== undefined) lines.push(...rows(field, part));
  }
  const conditions = CONDITIONS[names.kind];
  if (conditions !== undefined) {
    lines.push('', '| condition | meaning |', '|---|---|');
    for (const [type, meaning] of conditions) lines.push(`| \`${type}\` | ${meaning} |`);
  }
  return [...lines, ''];
}

/** Returns the whole page. */
export function renderApiDocs(): string {
  const folder = join(root, 'crds');
  const order = ['Volume', 'VolumeMount', 'Snapshot', 'SnapshotSchedule', 'Restore', 'VolumeClass', 'StorageNode'];
  const crds = readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => parse(readFileSync(join(folder, file), 'utf8')) as Crd)
    .sort((a, b) => order.indexOf(a.spec.names.kind) - order.indexOf(b.spec.names.kind));
  return [
    '# API reference',
    '',
    'Group `storage.clawbernetes.io`, version `v1alpha1`, category `clawstore`. Made by `node scripts/api-docs.ts` from `crds/` and',
    '`src/api/reasons.ts`; `kubectl explain volume.spec` shows the same.',
    '',
    ...crds.flatMap(kindSection),
    '## Reasons',
    '',
    'Conditions and Events use the same words.',
    '',
    '| reason | meaning |',
    '|---|---|',
    ...Object.entries(REASONS).map(([reason, meaning]) => `| \`${reason}\` | ${cell(meaning)} |`),
    '',
    '## Metadata',
    '',
    `Finalizers: ${Object.values(FINALIZERS)
      .map((name) => `\`${name}\``)
      .join(', ')}.`,
    '',
    `Annotations: ${Object.values(ANNOTATIONS)
      .map((name) => `\`${name}\``)
      .join(', ')}. The last three do something only when their value is the UID of the object.`,
    '',
    `Field managers: ${Object.values(FIELD_MANAGERS)
      .map((name) => `\`${name}\``)
      .join(', ')}.`,
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(API_DOCS_FILE, renderApiDocs());
