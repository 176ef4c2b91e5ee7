/** Which mount options a Volume may ask for, and which always hold. */

/** Hold on every mount unless the class allows the opposite and the volume asks for it. */
export const FORCED_MOUNT_OPTIONS: readonly string[] = ['nosuid', 'nodev'];

/** Only restrict or spare writes, so that every class allows them. */
export const HARMLESS_MOUNT_OPTIONS: readonly string[] = [
  'ro',
  'nosuid',
  'nodev',
  'noexec',
  'noatime',
  'nodiratime',
  'relatime',
];

/**
 * Returns the first option that a class with these `allowedMountOptions` does not allow, or `undefined`. An entry allows the
 * option as written; `NAME=*` allows any value.
 */
export function refusedMountOption(
  options: readonly string[],
  allowed: readonly string[] | undefined,
): string | undefined {
  return options.find(
    (option) => !HARMLESS_MOUNT_OPTIONS.includes(option) && !(allowed ?? []).some((entry) => covers(entry, option)),
  );
}

/** Returns the options that hold: those asked for, and the forced ones whose opposite (`suid`, `dev`) was not asked for. */
export function effectiveMountOptions(options: readonly string[]): readonly string[] {
  const forced = FORCED_MOUNT_OPTIONS.filter((option) => !options.includes(option.slice('no'.length)));
  return [...new Set([...forced, ...options])];
}

function covers(entry: string, option: string): boolean {
  return entry.endsWith('=*') ? option.startsWith(entry.slice(0, -1)) : entry === option;
}
