/**
 * Writes `docs/api.md` from the CRDs and the table of reasons, and `docs/troubleshooting.md` from the latter: `node
 * scripts/api-docs.ts`. Tests fail when the files are not what this makes.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ANNOTATIONS, FIELD_MANAGERS, FINALIZERS } from '../src/api/group.ts';
import { REASONS, type Reason } from '../src/api/reasons.ts';
import { remedyFor } from '../src/api/remedies/index.ts';
import { renderTroubleshooting, TROUBLESHOOTING_FILE } from './troubleshooting-docs.ts';

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
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-validations'?: readonly Rule[];
}

/** A CEL rule. Its field is where it stands, or, from there, `fieldPath`. */
interface Rule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
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
type Meanings = readonly (readonly [type: string, meaning: string])[];

const SCHEDULE_CONDITIONS: Meanings = [
  ['Ready', 'The schedule is valid and kept to; the message says what a run waits for, or how the last one failed.'],
  ['Reconciling', 'It was changed, and is being looked at. Absent when false.'],
  ['Stalled', 'The schedule or its time zone is not valid. Absent when false; never with Reconciling.'],
];
/** What each condition says, per kind. */
const CONDITIONS: Readonly<Record<string, Meanings>> = {
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
  BackupRepository: [
    ['Ready', 'Backups can go there and be restored from there.'],
    ['Reconciling', 'It is being opened or made. Absent when false.'],
    ['Stalled', 'A person must change something. Absent when false; never with Reconciling.'],
    ['Reachable', 'It was opened with its key.'],
    ['Unlocked', 'Nothing holds it that is gone.'],
    ['KeyExported', 'Its key is kept elsewhere, too.'],
    ['Verified', 'The last check found nothing wrong.'],
    ['DeletionBlocked', 'The deletion waits; the reason says for what. Absent when false.'],
  ],
  Backup: [
    ['Ready', 'It has ended well and can be restored.'],
    ['Reconciling', 'Work is going on, or waits. Absent when false.'],
    ['Stalled', 'It has failed and is not tried again. Absent when false; never with Reconciling.'],
    ['DataComplete', 'Nothing that was to be in it is lacking.'],
    ['ContentConsistent', 'All files of each volume are of one moment; the reason says how that is known.'],
    ['Recorded', 'It is written down in the repository as a whole, so that it is found there without this object.'],
    ['Verified', 'What a check of its repository says of it.'],
    ['DeletionBlocked', 'The deletion waits; the reason says for what. Absent when false.'],
  ],
  Restore: [
    ['Ready', 'Everything that was asked for was restored and compared, or the volume has gone back to its Snapshot.'],
    ['Reconciling', 'Work is going on, or waits. Absent when false.'],
    ['Stalled', 'It was refused or has failed, and is not tried again. Absent when false; never with Reconciling.'],
  ],
  VolumeBackup: [
    ['Ready', 'All of the volume is in the repository.'],
    ['Reconciling', 'Work is going on, or waits. Absent when false.'],
    ['Stalled', 'It has failed and is not tried again. Absent when false; never with Reconciling.'],
    ['DataComplete', 'No file is lacking.'],
    ['ContentConsistent', 'All files are of one moment; the reason says how that is known.'],
  ],
  VolumeRestore: [
    ['Ready', 'The content is in the volume, read back and compared.'],
    ['Reconciling', 'Work is going on, or waits. Absent when false.'],
    ['Stalled', 'It has failed and is not tried again. Absent when false; never with Reconciling.'],
  ],
  BackupSchedule: SCHEDULE_CONDITIONS,
  SnapshotSchedule: SCHEDULE_CONDITIONS,
  StorageNode: [
    ['Ready', 'The agent works. Unknown when its Lease has expired.'],
    ['Reconciling', 'The agent is starting or recovering. Absent when false.'],
    ['Stalled', 'A person must change something on the node. Absent when false; never with Reconciling.'],
  ],
};

/** Of the page. */
const ORDER: readonly string[] = [
  'Volume',
  'VolumeMount',
  'VolumeClass',
  'StorageNode',
  'Snapshot',
  'SnapshotSchedule',
  'BackupRepository',
  'Backup',
  'BackupSchedule',
  'Restore',
  'VolumeBackup',
  'VolumeRestore',
];

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
  return [...parts, ...boundsOf(schema)].join('; ');
}

function boundsOf(schema: Schema): readonly string[] {
  const range = (least: number | undefined, most: number | undefined, of: string): readonly string[] => {
    if (least === undefined && most === undefined) return [];
    if (most === undefined) return [`≥ ${least}${of}`];
    return [least === undefined || least === 0 ? `≤ ${most}${of}` : `${least}–${most}${of}`];
  };
  return [
    ...range(schema.minimum, schema.maximum, ''),
    ...range(schema.minLength, schema.maxLength, ' characters'),
    ...range(schema.minItems, schema.maxItems, ' items'),
    ...range(undefined, schema.maxProperties, ' entries'),
  ];
}

/** Every CEL rule of a schema, as the field that an error names and what it says. */
function rules(schema: Schema, path: string): readonly (readonly [field: string, message: string])[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map(
    ({ message, fieldPath = '' }) => [`${path}${fieldPath}`.replace(/^\./, ''), cell(message)] as const,
  );
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => rules(field, `${path}.${name}`));
  const items = schema.items === undefined ? [] : rules(schema.items, `${path}[]`);
  const values = schema.additionalProperties === undefined ? [] : rules(schema.additionalProperties, `${path}.*`);
  return [...own, ...below, ...items, ...values];
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

function index(crds: readonly Crd[]): readonly string[] {
  const rows = crds.map(({ spec: { names, scope } }) => {
    const shorts = names.shortNames.map((name) => `\`${name}\``).join(', ');
    return `| [${names.kind}](#${names.kind.toLowerCase()}) | ${shorts} | ${scope === 'Namespaced' ? 'namespaced' : 'cluster-wide'} |`;
  });
  return ['| kind | short name | |', '|---|---|---|', ...rows, ''];
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
  const said = new Map<string, Set<string>>();
  for (const [field, message] of rules(schema, '')) said.set(field, (said.get(field) ?? new Set()).add(message));
  if (said.size > 0) {
    lines.push('', '| field | rules; these are the words of the error |', '|---|---|');
    for (const [field, messages] of said) {
      lines.push(`| ${field === '' ? 'the object' : `\`${field}\``} | ${[...messages].join('; ')} |`);
    }
  }
  return [...lines, ''];
}

/** A reason, as a link to what to do about it. */
function reasonCell(reason: Reason): string {
  const word = `\`${reason}\``;
  return remedyFor(reason) === undefined ? word : `[${word}](troubleshooting.md#${reason.toLowerCase()})`;
}

/** Returns the whole page. */
export function renderApiDocs(): string {
  const folder = join(root, 'crds');
  const rank = (crd: Crd): number => ORDER.indexOf(crd.spec.names.kind);
  const crds = readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => parse(readFileSync(join(folder, file), 'utf8')) as Crd)
    .sort((a, b) => rank(a) - rank(b));
  return [
    '# API reference',
    '',
    'Group `storage.clawbernetes.io`, version `v1alpha1`, category `clawstore`. Made by `node scripts/api-docs.ts` from `crds/` and',
    '`src/api/reasons.ts`; `kubectl explain volume.spec` shows the same.',
    '',
    ...index(crds),
    ...crds.flatMap(kindSection),
    '## Reasons',
    '',
    'Conditions and Events use the same words. Those with a link ask for a look: [troubleshooting.md](troubleshooting.md) says what is affected',
    'and what to do.',
    '',
    '| reason | meaning |',
    '|---|---|',
    ...(Object.keys(REASONS) as Reason[]).map((reason) => `| ${reasonCell(reason)} | ${cell(REASONS[reason])} |`),
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

if (import.meta.main) {
  writeFileSync(API_DOCS_FILE, renderApiDocs());
  writeFileSync(TROUBLESHOOTING_FILE, renderTroubleshooting());
}
