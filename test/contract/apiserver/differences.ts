/**
 * Every place where the embedded server answers otherwise than a real kube-apiserver on purpose, and why. A difference
 * that is not listed here fails, and so does one that is listed and gone.
 */
import type { Answer } from './client.ts';

export interface Difference {
  readonly subject: string;
  readonly case: string;
  /** Why it is right, or of no consequence to anybody. */
  readonly why: string;
  /** Makes what both servers must agree on from the answers of either; nothing else of the case may differ. */
  readonly reduce: (answers: readonly Answer[]) => unknown;
}

type Reduce = Difference['reduce'];

/** Steps of a case whose answers are not compared but for their codes. */
const codesOnly =
  (...steps: readonly number[]): Reduce =>
  (answers) =>
    answers.map((answer, i) => (steps.includes(i) ? answer.code : answer));

/** Steps that are not compared at all. */
const without =
  (...steps: readonly number[]): Reduce =>
  (answers) =>
    answers.filter((_, i) => !steps.includes(i));

/** Answers without these fields, wherever they stand. */
const withoutFields =
  (...names: readonly string[]): Reduce =>
  (answers) =>
    JSON.parse(JSON.stringify(answers, (key, value: unknown) => (names.includes(key) ? undefined : value))) as unknown;

const READ_ONLY_CRDS =
  'CustomResourceDefinitions are files of the server, not objects that clients write: discovery offers get, list and watch';
const OLD_DISCOVERY =
  'kubectl before 1.30 asks for aggregated discovery as v2beta1 alone, which kube-apiserver 1.34 does not serve any more; the answer is the same as for v2 but for its version';
const OWN_WORDS = 'what core kinds and columns are for is said in our own, shorter words';
const OPTIONS =
  'delete options that cannot be decoded are the fault of the client (400); the real server answers 500 with names of its own source files';

export const DIFFERENCES: readonly Difference[] = [
  { subject: 'discovery', case: 'aggregated v2beta1 of the core', why: OLD_DISCOVERY, reduce: codesOnly(0) },
  { subject: 'discovery', case: 'aggregated v2beta1 of the groups', why: OLD_DISCOVERY, reduce: codesOnly(0) },
  { subject: 'discovery', case: 'aggregated v2 of the groups', why: READ_ONLY_CRDS, reduce: withoutFields('verbs') },
  {
    subject: 'discovery',
    case: 'aggregated, the best that both know',
    why: READ_ONLY_CRDS,
    reduce: withoutFields('verbs'),
  },
  {
    subject: 'discovery',
    case: 'the resources of apiextensions.k8s.io',
    why: READ_ONLY_CRDS,
    reduce: withoutFields('verbs'),
  },
  {
    subject: 'writes',
    case: 'two owners that control',
    why: 'the refused owners are quoted with their fields sorted instead of in the order of a Go struct',
    reduce: codesOnly(0),
  },
  {
    subject: 'reads',
    case: 'a table of another version',
    why: 'meta.k8s.io/v1beta1 is not served: every client since Kubernetes 1.16 asks for v1 first and takes the plain object otherwise',
    reduce: without(1),
  },
  { subject: 'reads', case: 'a table of secrets', why: OWN_WORDS, reduce: withoutFields('description') },
  { subject: 'reads', case: 'a table of events', why: OWN_WORDS, reduce: withoutFields('description') },
  {
    subject: 'reads',
    case: 'metadata of a create, a list and a table',
    why: 'one object that is asked for as a list of metadata is answered with its metadata; the real server fails with 500',
    reduce: without(2),
  },
  {
    subject: 'apply',
    case: 'an apply of nonsense',
    why: 'what is wrong with YAML is said by another library, with line and column',
    reduce: codesOnly(0),
  },
  { subject: 'core', case: 'delete options of another kind', why: OPTIONS, reduce: without(1) },
  { subject: 'core', case: 'delete options that are nonsense', why: OPTIONS, reduce: without(1) },
  {
    subject: 'core',
    case: 'strategic merge with an unknown field, strict',
    why: 'the refused object is quoted as JSON instead of as a Go map of the patch',
    reduce: codesOnly(1),
  },
  {
    subject: 'core',
    case: 'an event of the new sort that lacks something',
    why: 'a missing reportingController is told once (required), not also as an invalid name twice, and the kind of the message is that of the version that was sent',
    reduce: codesOnly(0, 1),
  },
];
