/** Secrets of volumes that this node has no use for any more: handed over to another node, or without an object. */
import type { Driver } from '../../drivers/driver.ts';

export interface UnusedSecretsDependencies {
  readonly drivers: Iterable<Pick<Driver, 'leftovers' | 'dropSecrets'>>;
  /** Whether somebody on this node knows the volume, or reads it. */
  readonly isKnown: (uid: string) => boolean;
}

/** Drops them. What is still mounted keeps its own until the process behind the mount has ended. */
export async function dropUnusedSecrets(
  { drivers, isKnown }: UnusedSecretsDependencies,
  signal: AbortSignal,
): Promise<void> {
  for (const driver of drivers) {
    if (driver.dropSecrets === undefined) continue;
    for (const { volumeUID } of await driver.leftovers(signal)) {
      if (isKnown(volumeUID)) continue;
      await driver.dropSecrets(volumeUID, () => !isKnown(volumeUID), signal);
    }
  }
}
