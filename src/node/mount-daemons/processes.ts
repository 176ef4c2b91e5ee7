/** Finds, starts and ends the processes that serve mounts. */
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { NodeError } from '../node-error.ts';
import type { DaemonProcess, StartMountDaemon } from './operations.ts';

/** Written by the program's own shell before it becomes the program: `PID START-TIME`. */
const RECORD = 'process';
const LOCK = 'lock';
const ENVIRONMENT = 'environment';
const LOG = 'log';
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const CGROUP = 'clawstore-mounts';

/**
 * Becomes the program: takes its environment from the file, leaves the agent's cgroup where that is possible, says which
 * process it is, and only then runs. The lock is held by the program itself, so that never two serve the same place.
 */
const BECOME = `
set -a
. ./${ENVIRONMENT}
set +a
if [ -n "$1" ]; then { echo $$ >"$1/cgroup.procs"; } 2>/dev/null; fi
shift
while [ "$1" != -- ]; do rm -f "./$1"; shift; done
shift
echo "$$ $(cut -d ' ' -f 22 /proc/$$/stat)" >./${RECORD}.new
mv ./${RECORD}.new ./${RECORD}
exec "$@" >>./${LOG} 2>&1 </dev/null
`;

/** The process that was started for a directory, while it runs. */
export function findProcess(directory: string): DaemonProcess | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, RECORD), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw NodeError.from(thrown);
  }
  const [pid = '', startTime = ''] = text.trim().split(' ');
  const recorded = { pid: Number(pid), startTime };
  return isAlive(recorded) ? recorded : undefined;
}

/** Zombies do not count: they serve nothing. */
export function isAlive({ pid, startTime }: DaemonProcess): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the command may hold spaces; state is field 3 and the start time field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === startTime && fields[0] !== 'Z' && fields[0] !== 'X';
  } catch {
    return false;
  }
}

/** Starts the program detached from everything of ours. Resolves when its starter has ended. */
export async function startProcess(request: StartMountDaemon, cgroupRoot: string | undefined): Promise<void> {
  const { directory, argv } = request;
  writeEnvironment(directory, request.env);
  // What the last one wrote would be taken for the reason why this one ends.
  writeFileSync(join(directory, LOG), '', { mode: 0o600 });
  const become = [
    'sh',
    '-c',
    BECOME,
    'clawstore-mount',
    cgroupFor(cgroupRoot) ?? '',
    ...request.discard,
    '--',
    ...argv,
  ] as const;
  const locked = ['flock', '--nonblock', '--no-fork', '--conflict-exit-code', '75', LOCK, ...become];
  await succeed(runsSystemd() ? systemdRun(request, locked) : ['setsid', '--fork', ...locked], directory);
}

/** The end of what the program has said. */
export function logTail(directory: string, lines = 3): string {
  const file = join(directory, LOG);
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trim().split('\n').slice(-lines).join('; ');
}

export function forgetProcess(directory: string): void {
  rmSync(join(directory, RECORD), { force: true });
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

/** systemd keeps what it runs when our unit stops; in another mount namespace than its own it would mount out of sight. */
function runsSystemd(): boolean {
  if (!existsSync('/run/systemd/system')) return false;
  try {
    return readlinkSync('/proc/self/ns/mnt') === readlinkSync('/proc/1/ns/mnt');
  } catch {
    return false;
  }
}

function systemdRun({ name, directory }: StartMountDaemon, command: readonly string[]): readonly string[] {
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
    ...command,
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

function writeEnvironment(directory: string, env: Readonly<Record<string, string>>): void {
  const lines = Object.entries(env).map(([name, value]) => `${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`);
  const file = join(directory, ENVIRONMENT);
  writeFileSync(`${file}.new`, lines.join(''), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function succeed(argv: readonly string[], directory: string): Promise<void> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    // No pipes: the program would hold them open for as long as it lives.
    const child = spawn(program, args, { cwd: directory, stdio: 'ignore', env: { PATH, LC_ALL: 'C' }, detached: true });
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'ENOENT' ? 'Unsupported' : 'Failed';
      reject(new NodeError(code, `${program} cannot be started: ${cause.code}`, { cause }));
    });
    child.once('exit', (status) => {
      if (status === 0) resolve();
      else reject(new NodeError('CommandFailed', `${program} ended with status ${status}`));
    });
  });
}
