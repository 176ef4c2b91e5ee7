/** `clawstore install` and `uninstall`: a systemd unit that starts the product at boot. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { IN_CLUSTER } from '../../kube/in-cluster.ts';
import { canNotify } from '../../node/service-manager.ts';
import { isSystemdRunning, systemctl, systemdVersion } from '../../node/systemctl.ts';
import { CliError, ExitCode } from '../exit-code.ts';
import type { Settings } from '../settings.ts';
import { placeObjection, thisLauncher } from './place.ts';
import { INSTALLED_ROLES, type InstalledRole, provenance, unitText } from './unit.ts';
import { readUnit, removeUnit, writeUnit } from './unit-file.ts';

export const DEFAULT_UNIT = 'clawstore';
export const DEFAULT_UNIT_DIR = '/etc/systemd/system';

/** Where systemd of this machine looks for units (systemd.unit(5)). */
const SEARCHED = [DEFAULT_UNIT_DIR, '/run/systemd/system', '/usr/local/lib/systemd/system', '/usr/lib/systemd/system'];
/** What systemd always has in PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export interface UnitOptions {
  /** Name without `.service`. */
  readonly unit: string;
  readonly unitDir: string;
  readonly dryRun: boolean;
  /** Also start, or stop, the service now. */
  readonly now: boolean;
  /** Also where a person has edited the unit, or where the installation may not stay. */
  readonly force: boolean;
  readonly timeoutMs: number;
}

export interface InstallOptions extends UnitOptions {
  readonly role: string;
  /** The settings that were given, as arguments. */
  readonly args: readonly string[];
}

/** Writes the unit, and enables it where systemd runs. `launcher`: for tests. */
export async function install(
  settings: Settings,
  options: InstallOptions,
  launcher = thisLauncher(),
): Promise<ExitCode> {
  const { unit, args, dryRun, now, force, timeoutMs } = options;
  const file = unitFile(options);
  const role = INSTALLED_ROLES.find((known) => known === options.role);
  if (role === undefined) {
    throw new CliError(ExitCode.usage, `"${options.role}" is none of ${INSTALLED_ROLES.join(', ')}`);
  }
  if (settings.kubeconfig === IN_CLUSTER) {
    throw new CliError(
      ExitCode.usage,
      `--kubeconfig: what systemd starts is in no pod; name a file, not "${IN_CLUSTER}"`,
    );
  }
  const objection = force ? undefined : placeObjection(launcher);
  if (objection !== undefined) {
    throw new CliError(
      ExitCode.refused,
      `${launcher} ${objection}, so it may not be there at the next boot: install the package for good (npm install --global clawstore, or a copy in /opt) and run install from there, or say --force`,
    );
  }
  const signal = AbortSignal.timeout(timeoutMs);
  const text = unitText({
    unit,
    role,
    launcher,
    args,
    settings,
    notifies: canNotify(),
    systemdVersion: await systemdVersion(signal),
    nodeFolder: folderOfNode(),
  });
  const present = readUnit(file);
  const isSame = present === text;
  if (!isSame && present !== undefined && !force) refuseOthers(file, present, 'overwritten');
  warnOfKubeconfig(role, settings);
  if (dryRun) {
    process.stderr.write(`clawstore: ${isSame ? `${file} is like this already` : `would write ${file}`}\n`);
    process.stdout.write(text);
    return ExitCode.ok;
  }
  if (!isSame) writeUnit(file, text);
  say(isSame ? `${file} is as wanted already` : `${file} is written`);
  if (!isManaged(options)) {
    say(
      `nothing was enabled: ${isSystemdRunning() ? `systemd does not read ${dirname(file)}` : 'systemd does not run here'}; where it does: systemctl daemon-reload && systemctl enable --now ${unit}`,
    );
    return ExitCode.ok;
  }
  await must(['daemon-reload'], signal);
  await must(['enable', `${unit}.service`], signal);
  say(`${unit} starts at every boot`);
  if (!now) {
    say(`start it now with: systemctl start ${unit}`);
    return ExitCode.ok;
  }
  // Mounts stay in place over a restart. What runs as wanted is left alone.
  await must([isSame ? 'start' : 'restart', `${unit}.service`], signal);
  say(`${unit} runs`);
  return ExitCode.ok;
}

/** Disables and removes the unit; what it started goes on unless `now`, and mounts and data stay in any case. */
export async function uninstall(options: UnitOptions): Promise<ExitCode> {
  const { unit, dryRun, now, force, timeoutMs } = options;
  const file = unitFile(options);
  const signal = AbortSignal.timeout(timeoutMs);
  const present = readUnit(file);
  if (present === undefined) {
    say(`there is no ${file}`);
    return ExitCode.ok;
  }
  if (!force) refuseOthers(file, present, 'removed');
  if (dryRun) {
    say(`would ${now ? 'stop and ' : ''}disable ${unit} and remove ${file}; mounts and data would stay`);
    return ExitCode.ok;
  }
  const managed = isManaged(options);
  if (managed) {
    if (now) await must(['stop', `${unit}.service`], signal);
    await must(['disable', `${unit}.service`], signal);
  }
  removeUnit(file);
  if (managed) await must(['daemon-reload'], signal);
  say(`${file} is removed; ${unit} does not start at boot any more`);
  if (managed && !now) say(`what runs goes on until it is stopped: systemctl stop ${unit}`);
  say(
    'mounts and data stay: clawstore down unmounts them (with the --state-dir that was used), --purge deletes the data',
  );
  return ExitCode.ok;
}

function unitFile({ unit, unitDir }: Pick<UnitOptions, 'unit' | 'unitDir'>): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,199}$/.test(unit)) {
    throw new CliError(ExitCode.usage, `--unit: "${unit}" must be letters, digits, "-" and "_", without .service`);
  }
  if (!isAbsolute(unitDir)) throw new CliError(ExitCode.usage, `--unit-dir: "${unitDir}" must be an absolute path`);
  return join(unitDir, `${unit}.service`);
}

function refuseOthers(file: string, text: string, done: string): void {
  const whose = provenance(text);
  if (whose === 'ours') return;
  const why =
    whose === 'edited' ? 'was edited since clawstore install wrote it' : 'was not written by clawstore install';
  throw new CliError(
    ExitCode.refused,
    `${file} ${why}, so it is not ${done}: say --force if that is meant, or name another unit with --unit`,
  );
}

/** Agents and controllers only read it; an `up` and an API server make it. */
function warnOfKubeconfig(role: InstalledRole, { kubeconfig }: Settings): void {
  if ((role === 'agent' || role === 'controller') && !existsSync(kubeconfig)) {
    process.stderr.write(
      `clawstore: ${kubeconfig} is not there yet; the service fails and is tried again until it is\n`,
    );
  }
}

/** Where this Node is, if the launcher would not find it by itself in a service. */
function folderOfNode(): string | undefined {
  const folder = dirname(process.execPath);
  const isOwn = /\/node_modules\/node-linux-[^/]+\/bin$/.test(folder);
  return isOwn || SYSTEM_FOLDERS.includes(folder) ? undefined : folder;
}

function isManaged({ unitDir }: Pick<UnitOptions, 'unitDir'>): boolean {
  return isSystemdRunning() && SEARCHED.includes(unitDir);
}

async function must(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { ok, text } = await systemctl(args, signal);
  if (ok) return;
  const what = `systemctl ${args.join(' ')}`;
  if (!signal.aborted) throw new CliError(ExitCode.failed, `${what}: ${text}`);
  throw new CliError(ExitCode.timeout, `${what} did not end in time; systemd goes on with it (journalctl says more)`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
