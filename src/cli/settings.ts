/**
 * What a process of ours is told at start: flags, then environment (`CLAWSTORE_…`), then the config file, then defaults.
 * Everything is checked here, once, and each error names the flag.
 */
import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { hostname } from 'node:os';
import { isAbsolute, join, normalize } from 'node:path';
import type { DestinationDefaults } from '../api/destination-defaults.ts';
import { isLabel, isSubdomain, MAX_LABEL, MAX_SUBDOMAIN, shortHash } from '../api/names.ts';
import { IN_CLUSTER } from '../kube/in-cluster.ts';
import { parseSource, type SourceSpec, SourceSpecError } from '../sync/source-spec.ts';
import { parseDestinations } from './destinations.ts';
import { CliError, ExitCode } from './exit-code.ts';

/** An address to listen on; port 0 means any free port. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

export interface Settings {
  readonly stateDir: string;
  /** Written by `up` and `apiserver`, read by the others. */
  readonly kubeconfig: string;
  readonly listen: ListenAddress;
  /** Where the API server logs who did what; undefined = nowhere. */
  readonly auditLog: string | undefined;
  readonly nodeName: string;
  readonly mountRoot: string;
  /** Processes that serve mounts are started by `clawstore mount-holder`, not by the agent. */
  readonly mountHolder: boolean;
  /** Namespace with one ServiceAccount per node, on a real cluster; undefined = nodes are known by their own credentials. */
  readonly nodeAccounts: string | undefined;
  /** undefined = not said: each command has its own default. */
  readonly hostPathAllow: readonly string[] | undefined;
  /** undefined = no metrics and health server. */
  readonly metrics: ListenAddress | undefined;
  readonly logLevel: LogLevel;
  readonly invokeNamespace: string;
  /** In the config file alone. */
  readonly destinations: readonly DestinationDefaults[];
  /** Gateway whose node this machine is; undefined = none. */
  readonly openclaw: string | undefined;
  /** File with the gateway's token. */
  readonly openclawTokenFile: string | undefined;
  /** What the gateway may call: names of commands, or words that stand for some. */
  readonly openclawCommands: readonly string[];
  /** With whose rights these commands act; undefined = those of the agent. */
  readonly openclawKubeconfig: string | undefined;
  /** What `up` keeps its control plane equal to; undefined = nothing. */
  readonly sync: SourceSpec | undefined;
  /** Time between two looks at it, in milliseconds. */
  readonly syncInterval: number;
  /** File with what Git logs in with. */
  readonly syncCredentialsFile: string | undefined;
  /** Whether a source without any object may mean that all are to go. */
  readonly syncAllowEmpty: boolean;
}

/** Settings as strings, from wherever they came; keys are the flags' names in camel case. */
export type RawSettings = Readonly<Record<string, unknown>>;

/** The flags that every command shares, for help texts; `env` and config key follow from the name. */
export interface SettingFlag {
  readonly flags: string;
  readonly key: keyof Settings;
  readonly env: string;
  readonly help: string;
  readonly fallback: string;
}

export const DEFAULT_STATE_DIR = '/var/lib/clawstore';
export const DEFAULT_MOUNT_ROOT = '/run/clawstore/mounts';
export const DEFAULT_CONFIG_FILE = '/etc/clawstore/config.yaml';
/** What `clawstore up` lets volumes use of its own machine. */
export const UP_HOST_PATH_ALLOW: readonly string[] = ['/data', '/mnt', '/srv'];

export const SETTING_FLAGS: readonly SettingFlag[] = [
  {
    flags: '--state-dir <dir>',
    key: 'stateDir',
    env: 'CLAWSTORE_STATE_DIR',
    help: 'where the database, keys and volume images are kept',
    fallback: DEFAULT_STATE_DIR,
  },
  {
    flags: '--kubeconfig <file>',
    key: 'kubeconfig',
    env: 'CLAWSTORE_KUBECONFIG',
    help: 'kubeconfig; written by up and apiserver, read by the others; in-cluster = the service account of the pod',
    fallback: 'STATE_DIR/kubeconfig',
  },
  {
    flags: '--listen <addr:port>',
    key: 'listen',
    env: 'CLAWSTORE_LISTEN',
    help: 'where the API server listens; port 0 = the one of last time, or any free one',
    fallback: '127.0.0.1:0',
  },
  {
    flags: '--audit-log <file>',
    key: 'auditLog',
    env: 'CLAWSTORE_AUDIT_LOG',
    help: 'where the API server logs who did what, without contents (JSON lines)',
    fallback: 'off',
  },
  {
    flags: '--node-name <name>',
    key: 'nodeName',
    env: 'CLAWSTORE_NODE_NAME',
    help: 'name of this node',
    fallback: "this machine's host name",
  },
  {
    flags: '--mount-root <dir>',
    key: 'mountRoot',
    env: 'CLAWSTORE_MOUNT_ROOT',
    help: 'directory below which volumes are mounted; never inside the state directory',
    fallback: DEFAULT_MOUNT_ROOT,
  },
  {
    flags: '--mount-holder <on|off>',
    key: 'mountHolder',
    env: 'CLAWSTORE_MOUNT_HOLDER',
    help: 'have the processes of s3 mounts started by clawstore mount-holder, so that they outlive the pod of the agent',
    fallback: 'off',
  },
  {
    flags: '--node-accounts <namespace>',
    key: 'nodeAccounts',
    env: 'CLAWSTORE_NODE_ACCOUNTS',
    help: 'on a real cluster: the agent acts as the ServiceAccount of its node in this namespace, and the controller grants what each node may read',
    fallback: 'off',
  },
  {
    flags: '--host-path-allow <prefix,...>',
    key: 'hostPathAllow',
    env: 'CLAWSTORE_HOST_PATH_ALLOW',
    help: 'host directories that hostPath volumes may use',
    fallback: `${UP_HOST_PATH_ALLOW.join(',')} under up, else none`,
  },
  {
    flags: '--metrics <addr:port>',
    key: 'metrics',
    env: 'CLAWSTORE_METRICS',
    help: 'where /metrics, /healthz and /readyz are served',
    fallback: 'off',
  },
  {
    flags: '--log-level <level>',
    key: 'logLevel',
    env: 'CLAWSTORE_LOG_LEVEL',
    help: LOG_LEVELS.join('|'),
    fallback: 'info',
  },
  {
    flags: '--invoke-namespace <namespace>',
    key: 'invokeNamespace',
    env: 'CLAWSTORE_INVOKE_NAMESPACE',
    help: 'namespace of the objects that invoked commands make',
    fallback: 'default; with --node-accounts node-NAME, the name of the node',
  },
  {
    flags: '--openclaw <url>',
    key: 'openclaw',
    env: 'CLAWSTORE_OPENCLAW',
    help: 'OpenClaw gateway that the agent joins as a node (ws:// or wss://); its token: CLAWSTORE_OPENCLAW_TOKEN or a file',
    fallback: 'off',
  },
  {
    flags: '--openclaw-token-file <file>',
    key: 'openclawTokenFile',
    env: 'CLAWSTORE_OPENCLAW_TOKEN_FILE',
    help: "file with the gateway's token, which is needed until the node has one of its own",
    fallback: 'none',
  },
  {
    flags: '--openclaw-commands <name,...>',
    key: 'openclawCommands',
    env: 'CLAWSTORE_OPENCLAW_COMMANDS',
    help: 'commands that the gateway may call: names, all, or read-only',
    fallback: 'all',
  },
  {
    flags: '--openclaw-kubeconfig <file>',
    key: 'openclawKubeconfig',
    env: 'CLAWSTORE_OPENCLAW_KUBECONFIG',
    help: 'kubeconfig with whose rights these commands act',
    fallback: '--kubeconfig',
  },
  {
    flags: '--sync <dir-or-git-url>',
    key: 'sync',
    env: 'CLAWSTORE_SYNC',
    help: 'of up: keep the control plane equal to the manifests of this folder or Git repository (URL#BRANCH:PATH)',
    fallback: 'off',
  },
  {
    flags: '--sync-interval <seconds>',
    key: 'syncInterval',
    env: 'CLAWSTORE_SYNC_INTERVAL',
    help: 'how often the source is looked at; a change in a folder is seen at once',
    fallback: '60',
  },
  {
    flags: '--sync-credentials-file <file>',
    key: 'syncCredentialsFile',
    env: 'CLAWSTORE_SYNC_CREDENTIALS_FILE',
    help: 'file with lines https://USER:TOKEN@HOST that Git logs in with; of ssh:// GIT_SSH_COMMAND says how',
    fallback: 'none',
  },
  {
    flags: '--sync-allow-empty <on|off>',
    key: 'syncAllowEmpty',
    env: 'CLAWSTORE_SYNC_ALLOW_EMPTY',
    help: 'delete what was applied also when the source has no object left at all',
    fallback: 'off',
  },
];

/**
 * Reads the config file: YAML with the settings' names as keys.
 * @throws CliError when it cannot be read or has an unknown key.
 */
export async function readConfigFile(file: string): Promise<RawSettings> {
  const { parse } = await import('./yaml.ts');
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8')) ?? {};
  } catch (cause) {
    throw new CliError(ExitCode.usage, `config file ${file}: ${messageOf(cause)}`, { cause });
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new CliError(ExitCode.usage, `config file ${file}: must be a mapping of settings`);
  }
  const known = [...SETTING_FLAGS.map(({ key }) => key as string), 'destinations'];
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new CliError(
      ExitCode.usage,
      `config file ${file}: unknown setting "${unknown}" (known: ${known.join(', ')})`,
    );
  }
  return value as RawSettings;
}

/**
 * Checks settings and fills in defaults.
 * @throws CliError naming the flag.
 */
export function resolveSettings(raw: RawSettings): Settings {
  const stateDir = absolute('--state-dir', text(raw, 'stateDir') ?? DEFAULT_STATE_DIR);
  const mountRoot = absolute('--mount-root', text(raw, 'mountRoot') ?? DEFAULT_MOUNT_ROOT);
  if (isInside(mountRoot, stateDir) || isInside(stateDir, mountRoot)) {
    throw usage('--mount-root', `${mountRoot} and the state directory ${stateDir} must not lie inside each other`);
  }
  const nodeName = text(raw, 'nodeName') ?? defaultNodeName();
  if (!isSubdomain(nodeName) || nodeName.length > MAX_SUBDOMAIN - 'node-'.length) {
    throw usage('--node-name', `"${nodeName}" is not a DNS-1123 name`);
  }
  const nodeAccounts = namespaceOrOff('--node-accounts', text(raw, 'nodeAccounts') ?? 'off');
  const invokeNamespace =
    text(raw, 'invokeNamespace') ?? (nodeAccounts === undefined ? 'default' : namespaceOfNode(nodeName));
  if (!isLabel(invokeNamespace))
    throw usage('--invoke-namespace', `"${invokeNamespace}" is not the name of a namespace`);
  const metrics = text(raw, 'metrics');
  const auditLog = text(raw, 'auditLog');
  const allow = raw['hostPathAllow'];
  const openclaw = text(raw, 'openclaw');
  const openclawTokenFile = text(raw, 'openclawTokenFile');
  const openclawKubeconfig = text(raw, 'openclawKubeconfig');
  const sync = text(raw, 'sync');
  const syncCredentialsFile = text(raw, 'syncCredentialsFile');
  return {
    stateDir,
    kubeconfig: kubeconfigOf(text(raw, 'kubeconfig'), stateDir),
    listen: parseAddress('--listen', text(raw, 'listen') ?? '127.0.0.1:0'),
    auditLog: auditLog === undefined || auditLog === 'off' ? undefined : absolute('--audit-log', auditLog),
    nodeName,
    mountRoot,
    nodeAccounts,
    mountHolder: onOrOff('--mount-holder', text(raw, 'mountHolder') ?? 'off'),
    hostPathAllow: allow === undefined ? undefined : parsePrefixes(allow),
    metrics: metrics === undefined || metrics === 'off' ? undefined : parseAddress('--metrics', metrics),
    logLevel: parseLevel(text(raw, 'logLevel') ?? 'info'),
    invokeNamespace,
    destinations: parseDestinations(raw['destinations']),
    openclaw: openclaw === undefined || openclaw === 'off' ? undefined : gatewayUrl('--openclaw', openclaw),
    openclawTokenFile:
      openclawTokenFile === undefined ? undefined : absolute('--openclaw-token-file', openclawTokenFile),
    openclawCommands: words(raw['openclawCommands'] ?? 'all'),
    openclawKubeconfig:
      openclawKubeconfig === undefined ? undefined : absolute('--openclaw-kubeconfig', openclawKubeconfig),
    sync: sync === undefined || sync === 'off' ? undefined : sourceOf('--sync', sync),
    syncInterval: interval('--sync-interval', text(raw, 'syncInterval') ?? '60'),
    syncCredentialsFile:
      syncCredentialsFile === undefined ? undefined : absolute('--sync-credentials-file', syncCredentialsFile),
    syncAllowEmpty: onOrOff('--sync-allow-empty', text(raw, 'syncAllowEmpty') ?? 'off'),
  };
}

/** Says whether `path` is `folder` or lies below it. Both absolute and normal. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

function text(raw: RawSettings, key: keyof Settings): string | undefined {
  const value = raw[key];
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new CliError(ExitCode.usage, `setting "${key}" must be text`);
}

function absolute(flag: string, path: string): string {
  if (path.includes('\0')) throw usage(flag, 'must not contain NUL');
  if (!isAbsolute(path)) throw usage(flag, `"${path}" must be an absolute path`);
  const normal = normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

function parsePrefixes(value: unknown): readonly string[] {
  return words(value).map((entry) => {
    const path = absolute('--host-path-allow', entry);
    if (path === '/') throw usage('--host-path-allow', '"/" would allow the whole host');
    return path;
  });
}

/** A list, or a text with commas. */
function words(value: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : String(value).split(',');
  return list.map((entry) => `${entry}`.trim()).filter((entry) => entry !== '');
}

/** The address of a gateway. Without encryption the token would be there for everybody on the way to read. */
function gatewayUrl(flag: string, value: string): string {
  const url = URL.parse(value);
  if (url === null || !['ws:', 'wss:'].includes(url.protocol)) {
    throw usage(flag, 'must be the URL of a gateway, e.g. ws://127.0.0.1:18789 or wss://gateway.example');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw usage(flag, 'must not have credentials, a query or a fragment in it; give the token in a file');
  }
  if (url.protocol === 'ws:' && !isNear(url.hostname)) {
    throw usage(flag, `ws:// to ${url.hostname} would send the token unencrypted: use wss://, or a private address`);
  }
  return url.href;
}

/** What is applied comes from there: without encryption anybody on the way could change it. */
function sourceOf(flag: string, value: string): SourceSpec {
  try {
    const source = parseSource(value);
    if (source.type === 'git' && source.protocol === 'http' && !isNear(source.host)) {
      throw new SourceSpecError(`http:// to ${source.host} could be changed on the way: use https://`);
    }
    return source;
  } catch (cause) {
    if (!(cause instanceof SourceSpecError)) throw cause;
    throw usage(flag, cause.message);
  }
}

function interval(flag: string, value: string): number {
  const seconds = Number(value);
  if (!Number.isFinite(seconds) || seconds < 1 || seconds > 86_400) {
    throw usage(flag, `"${value}" is not a number of seconds from 1 to 86400`);
  }
  return seconds * 1000;
}

/** Loopback and the private ranges of RFC 1918, RFC 4193, RFC 6598 and link-local. */
const NEAR = [
  ['127.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['::1', 128, 'ipv6'],
  ['fc00::', 7, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
] as const;

function isNear(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  const address = hostname.replace(/^\[|\]$/g, '');
  const family = isIP(address);
  if (family === 0) return false;
  const near = new BlockList();
  for (const [net, prefix, kind] of NEAR) near.addSubnet(net, prefix, kind);
  return near.check(address, family === 4 ? 'ipv4' : 'ipv6');
}

function parseAddress(flag: string, value: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw usage(flag, `"${value}" is not ADDRESS:PORT, e.g. 127.0.0.1:8443 or [::1]:0`);
  }
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? '127.0.0.1' : host, port };
}

function onOrOff(flag: string, value: string): boolean {
  if (value !== 'on' && value !== 'off') throw usage(flag, `"${value}" is neither on nor off`);
  return value === 'on';
}

function kubeconfigOf(given: string | undefined, stateDir: string): string {
  return given === IN_CLUSTER ? given : absolute('--kubeconfig', given ?? join(stateDir, 'kubeconfig'));
}

function namespaceOrOff(flag: string, value: string): string | undefined {
  if (value === 'off') return undefined;
  if (!isLabel(value)) throw usage(flag, `"${value}" is not the name of a namespace`);
  return value;
}

/**
 * Where commands act on a cluster on which each node is somebody: in a namespace of its own, so that whoever may call one
 * node touches nothing of another. The name of a node may have dots and be longer than that of a namespace.
 */
function namespaceOfNode(nodeName: string): string {
  const name = `node-${nodeName}`;
  if (isLabel(name)) return name;
  const hash = shortHash(nodeName);
  return `${name.replaceAll('.', '-').slice(0, MAX_LABEL - hash.length - 1)}-${hash}`;
}

function parseLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === value);
  if (level === undefined) throw usage('--log-level', `"${value}" is none of ${LOG_LEVELS.join(', ')}`);
  return level;
}

/** The host name as a DNS-1123 name: lower case, other characters as `-`. */
function defaultNodeName(): string {
  const name = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[-.]+|[-.]+$/g, '');
  return isSubdomain(name) ? name : 'localhost';
}

function usage(flag: string, message: string): CliError {
  return new CliError(ExitCode.usage, `${flag}: ${message}`);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
