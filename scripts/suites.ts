/**
 * Every suite of the project: what `make test` runs and in which order. A test file that no suite claims is an error,
 * so a new file cannot be forgotten (see `unclaimedFiles`).
 */
import { globSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
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
   * Whether it runs in mount and PID namespaces of its own, with a run ID and a run directory, and is looked over
   * for leaks afterwards (mounts, processes, loop devices, files): those checks are counted tests.
   */
  readonly namespaces: boolean;
  /** Provided before the suite starts; their paths are in its environment. */
  readonly tools?: readonly ToolName[];
}

export type Suite = CheckSuite | MochaSuite;

const check = (name: string, ...command: readonly [string, ...string[]]): CheckSuite => ({
  type: 'check',
  kind: 'lint',
  name,
  command,
  deadlineSeconds: 120,
});

/** The control planes that a file of e2e/ runs against; CLAWSTORE_E2E_SERVER tells it which. */
type Server = 'embedded' | 'real';

interface E2eOptions {
  /** Both when absent. An empty list: the file starts what it needs itself and runs once. */
  readonly servers?: readonly Server[];
  readonly seconds?: number;
  readonly fullSeconds?: number;
}

/**
 * Files of e2e/ that need other settings than the default: `e2e/NAME.e2e.ts` becomes the suites `NAME@embedded` and
 * `NAME@real`, of three minutes each (five times that with full counts). Keys are the NAMEs.
 */
const E2E: Readonly<Record<string, E2eOptions>> = {};

const E2E_TOOLS: readonly ToolName[] = ['kube-apiserver', 'kube-controller-manager', 'etcd', 'kubectl', 'promtool'];

function e2eSuites(root: string): readonly MochaSuite[] {
  return globSync('e2e/*.e2e.ts', { cwd: root })
    .sort()
    .flatMap((file) => {
      const name = basename(file, '.e2e.ts');
      const { servers = ['embedded', 'real'], seconds = 180, fullSeconds = seconds * 5 } = E2E[name] ?? {};
      const suite = {
        type: 'mocha',
        kind: 'e2e',
        name,
        specs: [file],
        namespaces: true,
        deadlineSeconds: seconds,
        fullDeadlineSeconds: fullSeconds,
        tools: E2E_TOOLS,
      } as const;
      if (servers.length === 0) return [suite];
      return servers.map((server) => ({ ...suite, name: `${name}@${server}`, env: { CLAWSTORE_E2E_SERVER: server } }));
    });
}

export const SUITES: readonly Suite[] = [
  check('types', 'tsc', '--noEmit', '-p', 'tsconfig.json'),
  check('lint', 'oxlint', '--type-aware', '--deny-warnings'),
  check('format', 'biome', 'check', '--error-on-warnings', '.'),
  check('layers', 'node', 'scripts/lint-layers.ts'),
  check('shell', 'bash', 'scripts/lint-shell.sh'),
  {
    type: 'mocha',
    kind: 'unit',
    name: 'unit',
    specs: ['test/**/*.test.ts'],
    exclude: ['test/contract/**', 'test/support/fixtures/**'],
    namespaces: true,
    deadlineSeconds: 240,
    fullDeadlineSeconds: 900,
    tools: ['promtool'],
  },
  {
    type: 'mocha',
    kind: 'contract',
    name: 'contract',
    specs: ['test/contract/**/*.test.ts'],
    namespaces: true,
    deadlineSeconds: 240,
    fullDeadlineSeconds: 900,
    tools: ['kube-apiserver', 'kube-controller-manager', 'etcd', 'kubectl'],
  },
  ...e2eSuites(join(import.meta.dirname, '..')),
];

/** The spec files of a suite, from the top of the checkout, sorted. */
export function specFiles(suite: MochaSuite, root: string): readonly string[] {
  return globSync([...suite.specs], { cwd: root, exclude: [...(suite.exclude ?? [])] }).sort();
}

/** Test files that no suite would run. */
export function unclaimedFiles(suites: readonly Suite[], root: string): readonly string[] {
  const claimed = new Set(suites.flatMap((suite) => (suite.type === 'mocha' ? specFiles(suite, root) : [])));
  return globSync(['test/**/*.test.ts', 'e2e/**/*.test.ts', 'e2e/**/*.e2e.ts'], {
    cwd: root,
    exclude: ['test/support/fixtures/**'],
  })
    .map((file) => relative(root, join(root, file)))
    .filter((file) => !claimed.has(file))
    .sort();
}
