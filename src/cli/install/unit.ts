/** The systemd unit of a part of the product, as text. Pure: what this machine has is told. */
import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { isInside, type Settings } from '../settings.ts';

export const INSTALLED_ROLES = ['up', 'agent', 'controller', 'apiserver'] as const;
export type InstalledRole = (typeof INSTALLED_ROLES)[number];

export interface UnitFacts {
  /** Name without `.service`. */
  readonly unit: string;
  readonly role: InstalledRole;
  /** Absolute path of the launcher. */
  readonly launcher: string;
  /** The settings that were given, as arguments. */
  readonly args: readonly string[];
  readonly settings: Pick<Settings, 'stateDir' | 'kubeconfig'>;
  /** Whether this installation can notify systemd. */
  readonly notifies: boolean;
  /** undefined = not known. */
  readonly systemdVersion: number | undefined;
  /** Folder of the Node that the launcher finds only with its help; undefined when it needs none. */
  readonly nodeFolder: string | undefined;
}

const DESCRIPTIONS: Readonly<Record<InstalledRole, string>> = {
  up: 'clawstore: control plane, controllers and agent of this machine',
  agent: 'clawstore: agent of this node',
  controller: 'clawstore: cluster-wide controllers',
  apiserver: 'clawstore: embedded control plane',
};

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MARK = '# Written by clawstore install; sha256 of the rest: ';

/** Writes the unit. */
export function unitText(facts: UnitFacts): string {
  const { role, unit, launcher, args, settings, notifies, systemdVersion, nodeFolder } = facts;
  const places = [settings.stateDir, dirname(settings.kubeconfig)];
  const needed = places.filter((path, index) => index === 0 || !isInside(path, settings.stateDir));
  const mounts = role === 'up' || role === 'agent';
  const body = [
    `# To change something, run clawstore install again, or "systemctl edit ${unit}": this file would not be overwritten then.`,
    '[Unit]',
    `Description=${DESCRIPTIONS[role]}`,
    'Wants=network-online.target',
    'After=network-online.target local-fs.target remote-fs.target',
    '# An empty directory in the place of a disk that is not mounted yet would look like a new installation.',
    `RequiresMountsFor=${needed.map(word).join(' ')}`,
    '# Never given up: volumes wait for it.',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    ...(notifies
      ? [
          'Type=notify',
          'NotifyAccess=main',
          '# An API server that is away is waited for; to be killed meanwhile would not bring it nearer.',
          'TimeoutStartSec=infinity',
        ]
      : ['Type=exec']),
    ...(nodeFolder === undefined ? [] : [`Environment=${word(`PATH=${nodeFolder}:${DEFAULT_PATH}`)}`]),
    '# CLAWSTORE_… variables and credentials of the node, 0600; it need not exist.',
    `EnvironmentFile=-/etc/default/${unit}`,
    `ExecStart=${[launcher, role, ...args].map(argument).join(' ')}`,
    'Restart=on-failure',
    // Older ones know no back-off.
    ...(systemdVersion !== undefined && systemdVersion >= 254
      ? ['RestartSec=1', 'RestartSteps=6', 'RestartMaxDelaySec=60']
      : ['RestartSec=2']),
    '# A wrong setting does not become right by another try.',
    'RestartPreventExitStatus=2',
    ...(mounts
      ? [
          '# Mounts and the processes behind them outlive the agent; the next one adopts them.',
          'KillMode=process',
          '# A process of a mount that the kernel ends for lack of memory is no reason to stop the agent, which heals it.',
          'OOMPolicy=continue',
          'OOMScoreAdjust=-900',
          '# Nothing here may give the service a mount namespace of its own (PrivateTmp=, ProtectSystem=, PrivateDevices=,',
          '# ReadOnlyPaths=, MountFlags= and the like): what it mounts is for the whole machine, and would be seen by nobody.',
          '# It makes its mount root shared itself, so that containers which bind a directory below see later mounts.',
        ]
      : ['OOMScoreAdjust=-500']),
    'LimitNOFILE=524288',
    'TasksMax=infinity',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
  return `${MARK}${digest(body)}\n${body}`;
}

/** What a unit file is to us: as some version of ours wrote it, edited since, or nothing of ours. */
export function provenance(text: string): 'ours' | 'edited' | 'foreign' {
  const end = text.indexOf('\n');
  const first = text.slice(0, end);
  if (!first.startsWith(MARK)) return 'foreign';
  return first.slice(MARK.length) === digest(text.slice(end + 1)) ? 'ours' : 'edited';
}

function digest(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

/** A word of a setting: specifiers escaped, quoted where it must be (systemd.syntax(7)). */
function word(text: string): string {
  const escaped = text.replaceAll('%', '%%');
  if (/^[\w./:=,@%+-]+$/.test(escaped)) return escaped;
  return `"${escaped.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** A word of a command line, where `$` begins a variable (systemd.service(5)). */
function argument(text: string): string {
  return word(text.replaceAll('$', '$$$$'));
}
