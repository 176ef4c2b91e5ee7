/**
 * What a repository really is: its location, judged and completed by its VolumeClass with the very rules of volumes, and
 * put in the words of the engine with what its Secrets say. Pure; asked by the controller to refuse early, and by the
 * agents, which enforce.
 */
import type { RepositoryLocation, RepositorySource } from '../../api/backup-repository.ts';
import { PASSWORD_KEY } from '../../api/backup-repository.ts';
import { API_VERSION } from '../../api/group.ts';
import { cleanPath, isWithin } from '../../api/paths.ts';
import type { Reason } from '../../api/reasons.ts';
import { repositoryURL } from '../../api/repository-url.ts';
import type { Volume } from '../../api/volume.ts';
import type { RepositoryLocation as EngineLocation, RepositoryAccess } from '../../backup/engine.ts';
import type { DriverVolume } from '../../drivers/driver.ts';
import type { TargetPath, UserPath } from '../../node/layer.ts';
import type { Named, NamedData, NodePolicy, PolicyFacts, Refusal } from './facts.ts';
import type { ResolvedVolume } from './resolve-volume.ts';
import { driverVolume, resolveVolume } from './resolve-volume.ts';

export interface RepositoryPolicyFacts extends Pick<PolicyFacts, 'classNamed' | 'namespaceLabels'> {
  readonly namespace: string;
  readonly location: RepositoryLocation;
  readonly node: NodePolicy & {
    /** State directory and mount root of the node; undefined where they are not known. */
    readonly ownDirectories?: readonly string[] | undefined;
  };
}

/** A location that is allowed, completed by its class. */
export interface ResolvedRepository {
  /** With what the class says where it says nothing itself. */
  readonly source: RepositorySource;
  /** Full, without credentials. */
  readonly url: string;
  readonly volume: Volume;
  readonly resolved: ResolvedVolume;
}

export type RepositoryResolution =
  | ({ readonly ok: true } & ResolvedRepository)
  | { readonly ok: false; readonly refusal: Refusal };

/** What an access is made of besides the location. */
export interface AccessOptions {
  readonly named: NamedData;
  /** {@link RepositoryAccess.cacheDirectory}. */
  readonly cacheDirectory: TargetPath;
  readonly readOnly?: boolean;
  readonly holder?: string;
}

export type AccessResolution =
  | {
      readonly ok: true;
      readonly access: RepositoryAccess;
      /** The directory of a `hostPath` repository, which the engine wants to be there. */
      readonly directory: UserPath | undefined;
      readonly url: string;
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** Judges a location and completes it. */
export function resolveRepository(facts: RepositoryPolicyFacts): RepositoryResolution {
  const { location, namespace, node } = facts;
  const volume = asVolume(location, namespace);
  const problem = contradiction(location) ?? ownDirectory(location, node.ownDirectories ?? []);
  if (problem !== undefined) return { ok: false, refusal: problem };
  const resolution = resolveVolume({ ...facts, volume });
  if (!resolution.ok) return { ok: false, refusal: ofRepository(resolution.refusal) };
  const source = completed(location, resolution.resolved);
  return { ok: true, source, url: repositoryURL(source), volume, resolved: resolution.resolved };
}

/** Judges a location, and puts it in the words of the engine with what the objects say that it names. */
export function resolveAccess(facts: RepositoryPolicyFacts, options: AccessOptions): AccessResolution {
  const repository = resolveRepository(facts);
  if (!repository.ok) return repository;
  const { volume, resolved, url } = repository;
  const { source } = driverVolume(volume, resolved, options.named);
  if (source.type === 's3' && source.missing !== undefined) {
    const { message, confirmed } = source.missing;
    return refused(confirmed ? 'CredentialsNotFound' : 'Pending', message);
  }
  const location = inWordsOfTheEngine(source, resolved);
  if (location === undefined) return refused('TypeNotAllowed', 'A repository cannot lie in an emptyDir.', true);
  const secret = facts.location.encryption.secretRef.name;
  const password = readPassword(secret, options.named.secret(facts.namespace, secret));
  if (!password.ok) return password;
  const { cacheDirectory, readOnly, holder } = options;
  const access: RepositoryAccess = {
    location,
    password: password.value,
    cacheDirectory,
    ...(readOnly === true ? { readOnly } : {}),
    ...(holder === undefined ? {} : { holder }),
  };
  const directory = location.type === 'directory' && 'user' in location.directory ? location.directory.user : undefined;
  return { ok: true, access, directory, url };
}

/** Whether a repository lies in a volume, so that a backup of that would contain itself. Pools hold no repositories. */
export function liesInVolume(location: RepositoryLocation, { spec, status }: Volume): boolean {
  const { s3, hostPath, nfs } = location;
  if (hostPath !== undefined && spec.hostPath !== undefined) {
    return location.nodeName === status?.nodeName && isWithin(hostPath.path, spec.hostPath.path);
  }
  if (nfs !== undefined && spec.nfs !== undefined) {
    return nfs.server === spec.nfs.server && isWithin(placeOf(nfs), placeOf(spec.nfs));
  }
  if (s3 !== undefined && spec.s3 !== undefined) {
    const isSameServer =
      s3.endpoint === undefined || spec.s3.endpoint === undefined || s3.endpoint === spec.s3.endpoint;
    return isSameServer && s3.bucket === spec.s3.bucket && isWithin(`/${s3.prefix ?? ''}`, `/${spec.s3.prefix ?? ''}`);
  }
  return false;
}

function placeOf({ path, subPath = '' }: { readonly path: string; readonly subPath?: string }): string {
  return `${path}/${subPath}`;
}

/** A repository asks for what a volume at the same place would ask for. */
function asVolume(location: RepositoryLocation, namespace: string): Volume {
  const { s3, hostPath, nfs, mountOptions, volumeClassName } = location;
  return {
    apiVersion: API_VERSION,
    kind: 'Volume',
    metadata: { name: 'repository', namespace },
    spec: {
      ...(s3 === undefined ? {} : { s3 }),
      ...(hostPath === undefined ? {} : { hostPath: { path: hostPath.path, type: 'DirectoryOrCreate' } }),
      ...(nfs === undefined ? {} : { nfs }),
      ...(mountOptions === undefined ? {} : { mountOptions }),
      ...(volumeClassName === undefined ? {} : { volumeClassName }),
    },
  };
}

function contradiction({ s3, hostPath, nfs, mountOptions = [] }: RepositoryLocation): Refusal | undefined {
  if ([s3, hostPath, nfs].filter((source) => source !== undefined).length !== 1) {
    return { reason: 'InvalidSpec', message: 'Exactly one of s3, hostPath and nfs must be set.', stalled: true };
  }
  if (nfs !== undefined || mountOptions.length === 0) return undefined;
  return { reason: 'InvalidSpec', message: 'mountOptions are for nfs repositories only; remove them.', stalled: true };
}

function ownDirectory({ hostPath }: RepositoryLocation, own: readonly string[]): Refusal | undefined {
  if (hostPath === undefined) return undefined;
  const within = own.find((directory) => isWithin(hostPath.path, directory) || isWithin(directory, hostPath.path));
  if (within === undefined) return undefined;
  const message = `hostPath "${hostPath.path}" is, holds or lies in "${within}", which a backup is to survive; choose another directory.`;
  return { reason: 'HostPathNotAllowed', message, stalled: true };
}

/** The rules say "volume", because they are those of volumes. */
function ofRepository(refusal: Refusal): Refusal {
  const message = refusal.message
    .replace('The volume names', 'The repository names')
    .replace('the volume name it', 'the repository name it')
    .replace('make the volume anew', 'make the repository anew')
    .replace(/ (hostPath|nfs|s3) volumes;/, ' $1 repositories;');
  return { ...refusal, message };
}

/** What a URL must say for others to find it: what the class filled in, too. */
function completed({ s3, hostPath, nfs }: RepositoryLocation, { defaults }: ResolvedVolume): RepositorySource {
  if (hostPath !== undefined) return { hostPath: { path: cleanPath(hostPath.path) } };
  if (nfs !== undefined) return { nfs };
  if (s3 === undefined) return {};
  const { endpoint, region, forcePathStyle, credentialsSecretRef } = defaults.s3 ?? {};
  return {
    s3: {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
      ...(credentialsSecretRef === undefined ? {} : { credentialsSecretRef }),
      ...s3,
    },
  };
}

function inWordsOfTheEngine(source: DriverVolume['source'], resolved: ResolvedVolume): EngineLocation | undefined {
  switch (source.type) {
    case 's3': {
      const { checksums: _, ...location } = source.location;
      return { type: 's3', ...location };
    }
    case 'hostPath': {
      // The longest: the least that has to be walked below it.
      const [prefix] = source.allowedPrefixes
        .filter((allowed) => isWithin(source.path, allowed))
        .sort((a, b) => b.length - a.length);
      if (prefix === undefined) return undefined;
      return { type: 'directory', directory: { user: { prefix, path: source.path } } };
    }
    case 'nfs': {
      const { server, path, subPath = '' } = source;
      return { type: 'nfs', server, path, subPath, mountOptions: resolved.mountOptions };
    }
    default:
      return undefined;
  }
}

function readPassword(
  name: string,
  secret: Named,
): { readonly ok: true; readonly value: string } | (AccessResolution & { readonly ok: false }) {
  const what = `Secret "${name}"`;
  if (secret.state === 'unknown') return refused('Pending', `${what} has not been read yet.`);
  if (secret.state === 'absent') {
    return refused('KeyNotFound', `${what} does not exist; create it with the password of the repository.`);
  }
  const value = secret.data[PASSWORD_KEY] ?? '';
  if (value === '')
    return refused('KeyNotFound', `${what} has no key ${PASSWORD_KEY}; add the password of the repository.`);
  // It is given to the engine as a line of text.
  if (/[\0\r\n\ufffd]/.test(value)) {
    return refused('KeyNotFound', `The ${PASSWORD_KEY} in ${what} is not one line of text.`);
  }
  return { ok: true, value };
}

function refused(reason: Reason, message: string, stalled = false): AccessResolution & { readonly ok: false } {
  return { ok: false, refusal: { reason, message, stalled } };
}
