/*
 * Compares server-side apply with the code of kube-apiserver on random cases:
 *
 *   go build -o /tmp/smd e2e/tools/smd && node e2e/tools/smd/compare.ts /tmp/smd SEED COUNT [GOLDEN]
 *
 * Prints the cases that differ; with GOLDEN, writes cases and answers to that file (gzip, one JSON record a line) for the unit test to replay.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { gzipSync } from 'node:zlib';
import { OBJECT_META_SCHEMA } from '../../../src/apiserver/apply/object-meta-schema.ts';
import { type Answer, answer, normalize, randomCases } from '../../../test/apiserver/apply/support/cases.ts';
import { KIND, SAMPLE_SCHEMA } from '../../../test/apiserver/apply/support/kind.ts';

const [binary = '', seed = '1', count = '300', golden] = process.argv.slice(2);
const cases = randomCases(Number(seed), Number(count));

const text = { type: 'string' };
const managedFields = { type: 'array', 'x-kubernetes-list-type': 'atomic', items: { type: 'object' } };
const schemas = {
  sample: {
    ObjectMeta: { ...OBJECT_META_SCHEMA, properties: { ...OBJECT_META_SCHEMA.properties, managedFields } },
    [KIND]: {
      ...SAMPLE_SCHEMA,
      properties: {
        ...SAMPLE_SCHEMA.properties,
        apiVersion: text,
        kind: text,
        metadata: { $ref: '#/definitions/ObjectMeta' },
      },
      'x-kubernetes-group-version-kind': [{ group: 'storage.clawbernetes.io', version: 'v1alpha1', kind: KIND }],
    },
  },
};

const run = spawnSync(binary, { input: JSON.stringify({ schemas, cases }), maxBuffer: 1 << 30, encoding: 'utf8' });
if (run.status !== 0) throw new Error(`the oracle failed: ${run.stderr}`);
const raw = JSON.parse(run.stdout) as Answer[];

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
// Go visits maps in random order: several problems come in any order, and an undeclared field hides its siblings.
const sorted = (a: Answer): Answer =>
  a.message?.includes('errors:\n') ? { ...a, message: a.message.split('\n').sort().join('\n') } : a;
const undecided = (a: Answer, b: Answer): boolean =>
  [a, b].every((one) => one.code === 500 && one.message !== undefined) &&
  [a, b].some((one) => one.message?.includes('not declared')) &&
  a.message?.split(';')[0] === b.message?.split(';')[0];
const tally = new Map<string, number>();
const records: unknown[] = [];
let differences = 0;
for (const [i, given] of cases.entries()) {
  const theirs = raw[i] as Answer;
  const expected = plain(
    theirs.object === undefined
      ? theirs
      : { ...normalize(given, theirs.object), ...(theirs.fields === undefined ? {} : { fields: theirs.fields }) },
  );
  const { raw: _, ...ours } = answer(given);
  const kind = `${given.operation}: ${theirs.code ?? 'ok'}`;
  tally.set(kind, (tally.get(kind) ?? 0) + 1);
  if (isDeepStrictEqual(plain(ours), expected)) records.push({ case: given, expected });
  if (isDeepStrictEqual(plain(sorted(ours)), sorted(expected as Answer)) || undecided(ours, expected as Answer)) continue;
  differences++;
  if (differences > 3) continue;
  console.log(`case ${i} differs`, JSON.stringify(given), '\nexpected', JSON.stringify(expected), '\nours', JSON.stringify(ours));
}
console.log(Object.fromEntries(tally));
console.log(`${cases.length} cases, ${differences} differ`);
if (golden !== undefined && differences === 0) {
  writeFileSync(golden, gzipSync(records.map((r) => JSON.stringify(r)).join('\n'), { level: 9 }));
}
process.exitCode = differences === 0 ? 0 : 1;
