/**
 * What whoever runs the controller says of destinations, so that `s3://backups/daily` alone is enough in a Backup: it
 * completes the repositories that are made for what lies there or below.
 */
import type { BackupRepositorySpec, RepositorySource } from './backup-repository.ts';
import { parseDestination, repositoryURL } from './repository-url.ts';

export interface DestinationDefaults {
  /** `s3://BUCKET/PREFIX`, `file:///PATH`, `nfs://SERVER/PATH`, without an endpoint. */
  readonly url: string;
  /** The next three for s3 alone, as in an S3Source. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly forcePathStyle?: boolean;
  /** Name of a Secret in the namespace of the Backup. */
  readonly credentialsSecret?: string;
  /** Name of a ConfigMap there, with `ca.crt`. */
  readonly caBundle?: string;
  /** Name of a Secret there with the key `password`; absent: one is made. */
  readonly keySecret?: string;
  /** Name of the VolumeClass that allows it. */
  readonly volumeClass?: string;
}

/** The most specific one that a destination lies at or below, and that is of the same server. */
export function defaultsFor(
  source: RepositorySource,
  all: readonly DestinationDefaults[],
): DestinationDefaults | undefined {
  const url = placeOf(source);
  const { endpoint } = source.s3 ?? {};
  const matching = all.filter((one) => {
    const at = placeAt(one.url);
    const isThere = at !== undefined && (url === at || url.startsWith(`${at}/`));
    // What is for one server is not sent to another.
    return isThere && (endpoint === undefined || endpoint === one.endpoint);
  });
  return matching.sort((a, b) => (placeAt(b.url)?.length ?? 0) - (placeAt(a.url)?.length ?? 0))[0];
}

/** A source with what the defaults say where it says nothing itself. */
export function completedSource(source: RepositorySource, defaults: DestinationDefaults | undefined): RepositorySource {
  if (source.s3 === undefined || defaults === undefined) return source;
  const { endpoint, region, forcePathStyle, credentialsSecret, caBundle } = defaults;
  return {
    s3: {
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
      ...source.s3,
      ...(credentialsSecret === undefined ? {} : { credentialsSecretRef: { name: credentialsSecret } }),
      ...(caBundle === undefined ? {} : { caBundleRef: { name: caBundle } }),
    },
  };
}

/** What else of a repository they say. */
export function specDefaults(defaults: DestinationDefaults | undefined): Pick<BackupRepositorySpec, 'volumeClassName'> {
  return defaults?.volumeClass === undefined ? {} : { volumeClassName: defaults.volumeClass };
}

function placeAt(url: string): string | undefined {
  const destination = parseDestination(url);
  return destination.ok ? placeOf(destination.source) : undefined;
}

/** The URL without what says how to reach it. */
function placeOf(source: RepositorySource): string {
  const { s3 } = source;
  if (s3 === undefined) return repositoryURL(source);
  return repositoryURL({ s3: { bucket: s3.bucket, ...(s3.prefix === undefined ? {} : { prefix: s3.prefix }) } });
}
