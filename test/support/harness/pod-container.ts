/**
 * The container of a pod, started by an OCI runtime (crun) from an unpacked image, with what a kubelet makes of its manifest:
 * user, capabilities, environment, volumes and their propagation. Of the pod's own things it has no network and no cgroup.
 */
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageConfig } from '../../../scripts/image.ts';
import { toolRuntime } from '../../../scripts/tools.ts';
import { crun } from './container.ts';
import { Daemon, type Exit } from './daemon.ts';
import { type ExecResult, exec } from './exec.ts';
import { onEnd } from './run.ts';
import { waitFor } from './wait.ts';

interface Security {
  readonly privileged?: boolean;
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly fsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[] };
}

/** The part of a pod's spec that is honoured here. */
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly hostPID?: boolean;
  readonly securityContext?: Security;
  readonly containers: readonly [
    {
      readonly command: readonly string[];
      readonly args: readonly string[];
      readonly env?: readonly {
        readonly name: string;
        readonly value?: string;
        readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
      }[];
      readonly securityContext?: Security;
      readonly volumeMounts: readonly {
        readonly name: string;
        readonly mountPath: string;
        readonly mountPropagation?: 'Bidirectional' | 'HostToContainer';
      }[];
    },
  ];
  readonly volumes: readonly {
    readonly name: string;
    readonly emptyDir?: object;
    readonly hostPath?: { readonly path: string };
  }[];
}

export interface PodOptions {
  readonly name: string;
  /** The root of the image, and what the image says of itself. */
  readonly root: string;
  readonly image: ImageConfig;
  readonly spec: PodSpec;
  /** Arguments that are not those of the manifest. */
  readonly change?: (arg: string) => string;
  /** What the fields of the pod are, e.g. `spec.nodeName`. */
  readonly fields: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  /** Directory with the files of its service account; absent where the pod asks for none. */
  readonly account?: string;
  /** Where the host paths of its node are; `/dev` is the machine's. */
  readonly host: string;
  /** Empty, for what belongs to this container. */
  readonly directory: string;
}

const ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const NO_DEVICES = { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] };
/** A privileged container has those of its node. */
const ALL_DEVICES = { destination: '/dev', type: 'bind', source: '/dev', options: ['rbind', 'rprivate'] };
const PROPAGATION = { Bidirectional: 'rshared', HostToContainer: 'rslave', None: 'rprivate' } as const;
/** Source: capabilities(7), in the order of their numbers. */
const CAPABILITIES =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'.split(
    ' ',
  );

export class PodContainer {
  readonly daemon: Daemon;
  readonly #directory: string;
  readonly #id: string;
  readonly #user: string;

  private constructor(daemon: Daemon, directory: string, id: string, user: string) {
    this.#user = user;
    this.daemon = daemon;
    this.#directory = directory;
    this.#id = id;
  }

  /** Starts it and waits until commands can be run in it; it ends with the run if no test ends it before. */
  static async start(options: PodOptions): Promise<PodContainer> {
    const { name, directory } = options;
    const { uid, gid } = userOf(options);
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'config.json'), JSON.stringify(runtimeConfig(options)));
    const [command = '', ...args] = await crun(directory, ['run', '--bundle', directory, name]);
    const env = await toolRuntime('crun');
    const daemon = new Daemon({ name, command, args, logFile: join(directory, 'log'), env });
    const container = new PodContainer(daemon, directory, name, `${uid}:${gid}`);
    onEnd(() => container.end());
    await waitFor(async () => daemon.exit !== undefined || (await container.exec('true')).code === 0, {
      message: `${name} to take commands`,
      instead: () => daemon.tail(),
    });
    daemon.assertRunning();
    return container;
  }

  /** Runs a command of the image in it, as its user. */
  exec(...argv: readonly string[]): Promise<ExecResult> {
    return this.#crun('exec', '--user', this.#user, this.#id, ...argv);
  }

  /** As a runtime stops it: SIGTERM to its first process. */
  async stop(): Promise<Exit> {
    const exit = await this.daemon.stop();
    await this.end();
    return exit;
  }

  async end(): Promise<void> {
    if (!existsSync(this.#directory)) return;
    await this.#crun('delete', '--force', this.#id);
    await this.daemon.killGroup();
    rmSync(join(this.#directory, 'state'), { recursive: true, force: true });
  }

  async #crun(...args: readonly string[]): Promise<ExecResult> {
    const [command = '', ...rest] = await crun(this.#directory, args);
    return exec(command, rest, { env: await toolRuntime('crun') });
  }
}

/** Source: the OCI runtime specification, config.md and config-linux.md. */
function runtimeConfig(options: PodOptions): unknown {
  const { spec, image, root, change = (arg) => arg } = options;
  const [container] = spec.containers;
  const security = securityOf(spec);
  const user = userOf(options);
  if (security.runAsNonRoot === true && user.uid === 0) throw new Error(`${options.name} would run as root`);
  const isPrivileged = security.privileged === true;
  const given = Object.fromEntries(
    (container.env ?? []).map(({ name, value, valueFrom }) => {
      const path = valueFrom?.fieldRef?.fieldPath ?? '';
      const known = value ?? options.fields[path];
      if (known === undefined)
        throw new Error(`${options.name}: the variable ${name} has a source that is not known here`);
      return [name, known];
    }),
  );
  const expand = (arg: string): string =>
    change(Object.entries(given).reduce((text, [name, value]) => text.replaceAll(`$(${name})`, value), arg));
  const capabilities = isPrivileged ? ownCapabilities() : [];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { ...user, additionalGids: security.fsGroup === undefined ? [] : [security.fsGroup] },
      args: [...container.command, ...container.args].map(expand),
      env: [...image.Env, ...Object.entries({ ...options.env, ...given }).map(([name, value]) => `${name}=${value}`)],
      cwd: '/',
      noNewPrivileges: security.allowPrivilegeEscalation === false,
      capabilities: Object.fromEntries(
        ['bounding', 'effective', 'permitted', 'inheritable'].map((set) => [set, capabilities]),
      ),
    },
    root: { path: root, readonly: security.readOnlyRootFilesystem === true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', 'rslave', isPrivileged ? 'rw' : 'ro'] },
      ...(container.volumeMounts.some(({ mountPath }) => mountPath === '/dev')
        ? []
        : [isPrivileged ? ALL_DEVICES : NO_DEVICES]),
      ...(options.account === undefined
        ? []
        : [{ destination: ACCOUNT, type: 'bind', source: options.account, options: ['rbind', 'ro'] }]),
      ...container.volumeMounts.map(({ name, mountPath, mountPropagation = 'None' as const }) => ({
        destination: mountPath,
        type: 'bind',
        source: sourceOf(name, options, security),
        options: ['rbind', PROPAGATION[mountPropagation]],
      })),
    ],
    linux: {
      namespaces: ['mount', 'ipc', 'uts', ...(spec.hostPID === true ? [] : ['pid'])].map((type) => ({ type })),
      // What is mounted at a place that goes both ways is to reach the host: nothing above it may be a copy.
      rootfsPropagation: container.volumeMounts.some(({ mountPropagation }) => mountPropagation === 'Bidirectional')
        ? 'rshared'
        : 'rslave',
    },
  };
}

const securityOf = (spec: PodSpec): Security => ({ ...spec.securityContext, ...spec.containers[0].securityContext });

/** Without a user in the manifest, that of the image. */
function userOf({ spec, image }: PodOptions): { readonly uid: number; readonly gid: number } {
  const [uid = 0, gid = 0] = image.User.split(':').map(Number);
  const { runAsUser, runAsGroup } = securityOf(spec);
  return { uid: runAsUser ?? uid, gid: runAsGroup ?? gid };
}

function sourceOf(name: string, { spec, host, directory }: PodOptions, { fsGroup = 0 }: Security): string {
  const volume = spec.volumes.find((each) => each.name === name);
  if (volume?.hostPath?.path === '/dev') return '/dev';
  const source = volume?.hostPath === undefined ? join(directory, name) : join(host, volume.hostPath.path);
  mkdirSync(source, { recursive: true });
  if (volume?.emptyDir !== undefined) chownSync(source, fsGroup, fsGroup);
  return source;
}

/** All that this process has itself: a machine may lack some, and a runtime refuses to give what it has not. */
function ownCapabilities(): readonly string[] {
  const [, hex = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const bits = BigInt(`0x${hex}`);
  return CAPABILITIES.filter((_, bit) => (bits >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);
}
