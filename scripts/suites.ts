/**
 * Every suite of the project: what `make test` runs and in which order. A test file that no suite claims is an error,
 * so a new file cannot be forgotten (see `unclaimedFiles`).
 */
import { globSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { ToolName } from './tools/catalogue.ts';

export type Kind = 'lint' | 'unit' | 'contract' | 'e2e';

interface Common {
  /** Unique; what `--suite` takes and what stands in test/allowed-skips.txt. */
  readonly name: string;
  readonly kind: Kind;
  /** The suite is killed and counts as failed when it takes longer. */
  readonly deadlineSeconds: number;
  /** The deadline with full counts (CLAWSTORE_TEST_FULL=1); the same when absent. */
  readonly fullDeadlineSeconds?: number;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * It mostly waits (for outages, timeouts, guests that boot): runs beside the other suites, three of its kind at a time,
   * and its output is printed when it has ended.
   */
  readonly beside?: boolean;
}

/** A command whose exit code is the result: one test. */
export interface CheckSuite extends Common {
  readonly type: 'check';
  readonly command: readonly [string, ...string[]];
}

/** Mocha files in one process. */
export interface MochaSuite extends Common {
  readonly type: 'mocha';
  /** Globs from the top of the checkout. */
  readonly specs: readonly string[];
  readonly exclude?: readonly string[];
  /**
   * Of several suites with the same files, which of them it is: with reduced counts each file is run by one of them, by
   * the seed by another; with full counts each of them runs all.
   */
  readonly share?: { readonly index: number; readonly of: number };
  /**
   * Whether it runs in mount and PID namespaces of its own, with a run ID and a run directory, and is looked over
   * for leaks afterwards (mounts, processes, loop devices, files): those checks are counted tests.
   */
  readonly namespaces: boolean;
  /** Whether it has a network namespace of its own too, in which it may make devices; nothing outside is reachable. */
  readonly ownNetwork?: boolean;
  /** Provided before the suite starts; their paths are in its environment. */
  readonly tools?: readonly ToolName[];
}

export type Suite = CheckSuite | MochaSuite;

const check = (name: string, ...command: readonly [string, ...string[]]): CheckSuite => ({
  type: 'check',
  kind: 'lint',
  name,
  command,
  deadlineSeconds: 600,
});

const E2E_TOOLS: readonly ToolName[] = [
  'kube-apiserver',
  'kube-controller-manager',
  'etcd',
  'kubectl',
  'promtool',
  'prometheus',
];

/** Files of e2e/ in a suite of their own, because they take long or may take a process down with them. */
const E2E_APART: readonly string[] = [
  'e2e/faults-*.test.ts',
  'e2e/power-cut*.test.ts',
  'e2e/boot*.test.ts',
  'e2e/control-plane-*.test.ts',
  'e2e/nfs*.test.ts',
  'e2e/quota*.test.ts',
  'e2e/openclaw*.test.ts',
  'e2e/cluster-*.test.ts',
  'e2e/flux*.test.ts',
  'e2e/package*.test.ts',
  'e2e/nodes-*.test.ts',
  'e2e/image*.test.ts',
];

/** Files of e2e/ that do what a new user does, with `make run` and its own control plane. */
const FIRST_USE: readonly string[] = ['e2e/first-steps.test.ts', 'e2e/make-run.test.ts'];

/**
 * End-to-end files that run against each control plane, with reduced counts each against one of the two:
 * `E2E_CONTROL_PLANE` tells them which. The files of one suite share one real control plane, which takes longer to start
 * than most of them to run.
 */
function e2eSuites(
  name: string,
  files: Pick<MochaSuite, 'specs' | 'exclude'>,
  seconds: number,
  besideWith: readonly string[],
): readonly MochaSuite[] {
  return ['embedded', 'real'].map((plane, index, { length: of }) => ({
    type: 'mocha',
    kind: 'e2e',
    name: `${name}-${plane}`,
    ...files,
    share: { index, of },
    ...(besideWith.includes(plane) ? { beside: true } : {}),
    namespaces: true,
    deadlineSeconds: seconds,
    fullDeadlineSeconds: seconds * 10,
    tools: E2E_TOOLS,
    env: { E2E_CONTROL_PLANE: plane },
  }));
}

/** A part of the end-to-end tests of backups. */
function backupSuite(name: string, specs: readonly string[], exclude: readonly string[] = []): MochaSuite {
  return {
    type: 'mocha',
    kind: 'e2e',
    name,
    specs,
    exclude,
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 1200,
    fullDeadlineSeconds: 3600,
    tools: ['kubectl', 'versitygw', 'rclone', 'restic-0.19', 'prometheus'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  };
}

/** End-to-end tests of s3 volumes, which need an S3 server beside the control plane. */
const S3_E2E: readonly string[] = ['e2e/s3*.test.ts'];

/** End-to-end tests of backups, which need their engine, and an S3 server beside the control plane. */
const BACKUP_E2E: readonly string[] = ['e2e/backups*.test.ts', 'e2e/repositories*.test.ts'];
/** Of them those that take as long as all the others. */
const RESTORE_E2E: readonly string[] = [
  'e2e/backups-restores*.test.ts',
  'e2e/backups-nodes*.test.ts',
  'e2e/repositories*.test.ts',
];

/** What heals by itself, in containers too: these files need an S3 server and an OCI runtime beside the control plane. */
const HEALING: readonly string[] = ['e2e/containers*.test.ts', 'e2e/faults-random*.test.ts'];

/** Whether pages are what their generators make of the sources: seconds, and wanted before each commit. */
const GENERATED: readonly string[] = [
  'test/api/api-docs.test.ts',
  'test/api/troubleshooting.test.ts',
  'test/cli/cli-docs.test.ts',
  'test/scripts/mutants.test.ts',
];

/** Tests of the S3 driver, which need its server and its engine. */
const S3_SPECS = 'test/drivers/s3/**/*.test.ts';
/** Tests of the engine of backups, in the three versions that are to work. */
const ENGINE_SPECS = 'test/contract/engine/**/*.test.ts';
/** The drivers wait for disks more than they compute. */
const DRIVER_SPECS = 'test/drivers/**/*.test.ts';

/** Goes with the packages that it was seen with. */
const TYPES_SEEN = 'node_modules/.cache/types.tsbuildinfo';

export const SUITES: readonly Suite[] = [
  // What it found out last time of files that have not changed since is half of its work.
  check('types', 'tsc', '--noEmit', '-p', 'tsconfig.json', '--incremental', '--tsBuildInfoFile', TYPES_SEEN),
  check('lint', 'oxlint', '--type-aware', '--deny-warnings'),
  check('format', 'biome', 'check', '--error-on-warnings', '.'),
  check('layers', 'node', 'scripts/lint-layers.ts'),
  check('shell', 'bash', 'scripts/lint-shell.sh'),
  {
    type: 'mocha',
    kind: 'lint',
    name: 'generated',
    specs: GENERATED,
    namespaces: false,
    deadlineSeconds: 600,
  },
  {
    type: 'mocha',
    kind: 'unit',
    name: 'unit',
    specs: ['test/**/*.test.ts'],
    exclude: ['test/contract/**', 'test/stress/**', 'test/support/fixtures/**', DRIVER_SPECS, ...GENERATED],
    namespaces: true,
    deadlineSeconds: 1800,
    fullDeadlineSeconds: 1800,
    tools: ['promtool', 'zsh', 'fish', 'sshd'],
  },
  {
    type: 'mocha',
    kind: 'unit',
    name: 'drivers',
    specs: [DRIVER_SPECS],
    exclude: [S3_SPECS],
    namespaces: true,
    beside: true,
    deadlineSeconds: 900,
    fullDeadlineSeconds: 900,
  },
  {
    type: 'mocha',
    kind: 'unit',
    name: 's3-driver',
    specs: [S3_SPECS],
    namespaces: true,
    beside: true,
    deadlineSeconds: 900,
    tools: ['versitygw', 'rclone'],
  },
  {
    type: 'mocha',
    kind: 'contract',
    name: 'contract',
    specs: ['test/contract/**/*.test.ts'],
    exclude: [ENGINE_SPECS],
    namespaces: true,
    deadlineSeconds: 900,
    fullDeadlineSeconds: 900,
    tools: [
      'kube-apiserver',
      'kube-controller-manager',
      'etcd',
      'kubectl',
      'kubectl-1.29',
      'kubectl-1.31',
      'kubectl-1.36',
      'kustomize',
      'helm',
      'clients',
    ],
  },
  {
    type: 'mocha',
    kind: 'contract',
    name: 'backup-engine',
    specs: [ENGINE_SPECS],
    namespaces: true,
    beside: true,
    deadlineSeconds: 1800,
    fullDeadlineSeconds: 1800,
    tools: ['restic-0.14', 'restic-0.18', 'restic-0.19', 'versitygw'],
  },
  {
    type: 'mocha',
    kind: 'contract',
    name: 'stress',
    specs: ['test/stress/*.test.ts'],
    namespaces: true,
    deadlineSeconds: 900,
    fullDeadlineSeconds: 7200,
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'first-use',
    specs: FIRST_USE,
    namespaces: true,
    deadlineSeconds: 300,
    tools: ['kubectl'],
  },
  ...e2eSuites(
    'e2e',
    { specs: ['e2e/*.test.ts'], exclude: [...E2E_APART, ...FIRST_USE, ...S3_E2E, ...BACKUP_E2E, ...HEALING] },
    900,
    // One of the two waits for a server that is not ours.
    ['real'],
  ),
  backupSuite('backups', BACKUP_E2E, RESTORE_E2E),
  backupSuite('restores', RESTORE_E2E),
  ...e2eSuites('faults', { specs: ['e2e/faults-*.test.ts'], exclude: HEALING }, 900, ['embedded', 'real']),
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'healing',
    specs: HEALING,
    namespaces: true,
    beside: true,
    deadlineSeconds: 600,
    fullDeadlineSeconds: 7200,
    tools: ['kubectl', 'versitygw', 'rclone', 'crun', 'busybox'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 's3-e2e',
    specs: S3_E2E,
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 420,
    tools: ['kubectl', 'versitygw', 'rclone'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'control-plane',
    specs: ['e2e/control-plane-*.test.ts'],
    namespaces: true,
    beside: true,
    deadlineSeconds: 420,
    tools: ['kubectl'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'cluster',
    specs: ['e2e/cluster-*.test.ts'],
    namespaces: true,
    beside: true,
    deadlineSeconds: 420,
    tools: [...E2E_TOOLS, 'rclone'],
    env: { E2E_CONTROL_PLANE: 'real' },
  },
  {
    // Kinds of others, which Flux has, cannot be added to the embedded API server.
    type: 'mocha',
    kind: 'e2e',
    name: 'gitops',
    specs: ['e2e/flux*.test.ts'],
    namespaces: true,
    beside: true,
    deadlineSeconds: 420,
    tools: ['kube-apiserver', 'kube-controller-manager', 'etcd', 'kubectl', 'kustomize-controller'],
    env: { E2E_CONTROL_PLANE: 'real' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'nodes',
    specs: ['e2e/nodes-*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 600,
    fullDeadlineSeconds: 2400,
    tools: [...E2E_TOOLS, 'versitygw', 'rclone'],
    env: { E2E_CONTROL_PLANE: 'real' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'image',
    specs: ['e2e/image*.test.ts'],
    namespaces: true,
    beside: true,
    // The first time on a machine the base images are made, and all npm packages installed in one of them.
    deadlineSeconds: 900,
    tools: [...E2E_TOOLS, 'versitygw', 'kustomize', 'crun', 'mmdebstrap', 'debian-tree', 'npm'],
    env: { E2E_CONTROL_PLANE: 'real' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'package',
    specs: ['e2e/package*.test.ts'],
    namespaces: true,
    beside: true,
    deadlineSeconds: 600,
    tools: ['kubectl'],
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'power-cut',
    specs: ['e2e/power-cut*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 300,
    fullDeadlineSeconds: 1800,
    tools: ['linux.uml'],
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'nfs',
    specs: ['e2e/nfs*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 600,
    fullDeadlineSeconds: 1800,
    tools: ['linux.uml', 'ganesha.nfsd', 'kubectl', 'restic-0.19'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'quota',
    specs: ['e2e/quota*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 420,
    tools: ['linux.uml', 'kubectl'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'openclaw',
    specs: ['e2e/openclaw*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 900,
    tools: ['kubectl', 'openclaw', 'restic-0.19', 'versitygw'],
    env: { E2E_CONTROL_PLANE: 'embedded' },
  },
  {
    type: 'mocha',
    kind: 'e2e',
    name: 'boot',
    specs: ['e2e/boot*.test.ts'],
    namespaces: true,
    ownNetwork: true,
    beside: true,
    deadlineSeconds: 600,
    tools: ['linux.uml', 'versitygw', 'rclone'],
  },
];

/** The spec files of a suite, from the top of the checkout, sorted. */
export function specFiles(suite: MochaSuite, root: string): readonly string[] {
  return globSync([...suite.specs], { cwd: root, exclude: [...(suite.exclude ?? [])] }).sort();
}

/** Those of them that a run executes, which with reduced counts may be a share that follows from the seed. */
export function filesToRun(
  suite: MochaSuite,
  root: string,
  run: { readonly full: boolean; readonly seed: number },
): readonly string[] {
  const files = specFiles(suite, root);
  const { share } = suite;
  if (run.full || share === undefined) return files;
  return files.filter((_, place) => (place + run.seed) % share.of === share.index);
}

/** Test files that no suite would run. */
export function unclaimedFiles(suites: readonly Suite[], root: string): readonly string[] {
  const claimed = new Set(suites.flatMap((suite) => (suite.type === 'mocha' ? specFiles(suite, root) : [])));
  return globSync(['test/**/*.test.ts', 'e2e/**/*.test.ts'], {
    cwd: root,
    exclude: ['test/support/fixtures/**'],
  })
    .map((file) => relative(root, join(root, file)))
    .filter((file) => !claimed.has(file))
    .sort();
}
