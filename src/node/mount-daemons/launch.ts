/** Starts the process of a mount detached from whoever starts it. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { NodeError } from '../node-error.ts';
import type { StartMountDaemon } from './operations.ts';
import { BOOT_ID, ENVIRONMENT, LOCK, LOG, RECORD } from './processes.ts';

/** What is to run; its environment lies in its directory already. */
export type Launch = Pick<StartMountDaemon, 'directory' | 'name' | 'argv' | 'discard'>;

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CGROUP = 'clawstore-mounts';
/** A process that was killed is seen dead a moment before the last of its threads lets go of the lock. */
const LOCK_PATIENCE_S = '2';

/**
 * Becomes the program: takes its environment from the file, leaves the starter's cgroup where one is named, says which
 * process it is, and only then runs. The lock is held by the program itself, so that never two serve the same place.
 * The cgroup is made again where the end of the last other process in it took it away just now.
 */
const BECOME = `
set -a
. ./${ENVIRONMENT}
set +a
tries=0
while [ -n "$1" ] && [ $tries -lt 20 ]; do
  mkdir -p "$1" && { echo $$ >"$1/cgroup.procs"; } && break
  tries=$((tries + 1))
done 2>/dev/null
shift
while [ "$1" != -- ]; do rm -f "./$1"; shift; done
shift
read -r boot <${BOOT_ID}
echo "$$ $(cut -d ' ' -f 22 /proc/$$/stat) $boot" >./${RECORD}.new
mv ./${RECORD}.new ./${RECORD}
exec "$@" >>./${LOG} 2>&1 </dev/null
`;

/** By systemd where it runs, else by a double fork into a cgroup beside ours. Resolves when the starter has ended. */
export function launch(what: Launch, cgroupRoot: string | undefined): Promise<void> {
  // A unit has a cgroup of its own, and systemd looks for its processes there.
  if (runsSystemd()) return succeed(systemdRun(what, lockedCommand(what, undefined)), what.directory, 'pipe');
  return launchForked(what, lockedCommand(what, cgroupFor(cgroupRoot)));
}

/** By a double fork, in the cgroup and the namespaces of this process. */
export function launchForked(what: Launch, command = lockedCommand(what, undefined)): Promise<void> {
  // No pipes: the program would hold them open for as long as it lives.
  return succeed(['setsid', '--fork', ...command], what.directory, 'ignore');
}

/** The cgroup goes with the last process in it. */
export function removeCgroup(root: string | undefined): void {
  if (root === undefined) return;
  try {
    rmdirSync(join(root, CGROUP));
  } catch {
    // Others are in it, or it never was.
  }
}

function lockedCommand({ argv, discard }: Launch, cgroup: string | undefined): readonly string[] {
  const become = ['sh', '-c', BECOME, 'clawstore-mount', cgroup ?? '', ...discard, '--', ...argv];
  return ['flock', '--timeout', LOCK_PATIENCE_S, '--no-fork', '--conflict-exit-code', '75', LOCK, ...become];
}

/** systemd keeps what it runs when our unit stops; in another mount namespace than its own it would mount out of sight. */
function runsSystemd(): boolean {
  if (!existsSync('/run/systemd/system')) return false;
  try {
    return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt');
  } catch {
    return false;
  }
}

function systemdRun({ name, directory }: Launch, command: readonly string[]): readonly string[] {
  return [
    'systemd-run',
    '--quiet',
    '--collect',
    `--unit=${name}`,
    `--working-directory=${directory}`,
    `--setenv=PATH=${PATH}`,
    '--property=KillMode=process',
    '--property=OOMScoreAdjust=-500',
    '--',
    // systemd takes `$` for a variable of its own, and `$$` for a `$` (systemd.service(5)).
    ...command.map((word) => word.replaceAll('$', '$$$$')),
  ];
}

/** A cgroup beside the agent's, where cgroup v2 can be written: what kills the agent's cgroup must not meet the mount. */
function cgroupFor(root: string | undefined): string | undefined {
  if (root === undefined) return undefined;
  const folder = join(root, CGROUP);
  try {
    mkdirSync(folder, { recursive: true });
    return folder;
  } catch {
    return undefined;
  }
}

/** `errors`: what becomes of what it says on stderr; in a pipe, it ends up in the error. */
function succeed(argv: readonly string[], directory: string, errors: 'pipe' | 'ignore'): Promise<void> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: directory,
      stdio: ['ignore', 'ignore', errors],
      env: { PATH, LC_ALL: 'C' },
      detached: true,
    });
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'ENOENT' ? 'Unsupported' : 'Failed';
      reject(new NodeError(code, `${program} cannot be started: ${cause.code}`, { cause }));
    });
    child.once('close', (status) => {
      if (status === 0) return resolve();
      const words = said.trim() === '' ? '' : `: ${said.trim()}`;
      reject(new NodeError('CommandFailed', `${program} ended with status ${status}${words}`));
    });
  });
}
