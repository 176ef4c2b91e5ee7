/** What each version of restic can do. Pure. */
import type { EngineFeature, EngineFeatures, EngineLack } from '../engine.ts';

/** Below it, compressed repositories do not exist. */
const OLDEST: Version = [0, 14];

type Version = readonly [major: number, minor: number];

const SINCE: readonly (readonly [feature: EngineFeature, since: Version, message: string])[] = [
  ['RestoreSparse', [0, 15], 'files with holes are restored without them'],
  ['RestoreProgress', [0, 17], 'restores tell only how much was written, and no counts of files'],
  ['RestoreSkip', [0, 17], 'no restores that keep existing files'],
  ['RestoreMirror', [0, 17], 'no restores that remove what a snapshot does not have'],
  ['RestoreDryRun', [0, 17], 'no restores on trial'],
  ['SnapshotSummary', [0, 17], 'snapshots do not tell how many files they have'],
];

/** A version as `restic version` says it; undefined when that is something else. */
export function parseVersion(said: string): string | undefined {
  return /^restic (\d+\.\d+(?:\.\d+)?)/m.exec(said)?.[1];
}

export function featuresOf(version: string): EngineFeatures {
  const lack = (feature: EngineFeature, [major, minor]: Version, what: string): EngineLack => ({
    feature,
    message: `restic ${version} is older than ${major}.${minor}: ${what}`,
  });
  if (!isAtLeast(version, OLDEST)) return { version, lacking: [lack('Engine', OLDEST, 'it is not used')] };
  return {
    version,
    lacking: SINCE.filter(([, since]) => !isAtLeast(version, since)).map(([feature, since, message]) =>
      lack(feature, since, message),
    ),
  };
}

export function isAtLeast(version: string, [major, minor]: Version): boolean {
  const [ownMajor = 0, ownMinor = 0] = version.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}
