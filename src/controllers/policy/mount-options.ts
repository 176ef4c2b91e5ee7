/** Which mount options a volume gets: what it asks for, what its class fills in, and what always holds. */

/** Options that only take rights away; they need nobody's permission. */
export const RESTRICTING_OPTIONS: readonly string[] = [
  'nosuid',
  'nodev',
  'noexec',
  'noatime',
  'nodiratime',
  'relatime',
  'nosymfollow',
];

/** Options that stand for the absence of a restriction; naming one that is allowed lifts it. */
const LIFTS: Readonly<Record<string, string>> = { suid: 'nosuid', dev: 'nodev' };

/** Options that say how the mount is used, which `readOnly` of the VolumeMount decides. */
const DECIDED_ELSEWHERE: readonly string[] = ['ro', 'rw'];

export type MountOptions =
  | { readonly ok: true; readonly options: readonly string[] }
  | { readonly ok: false; readonly option: string; readonly message: string };

/**
 * Resolves the options of a volume. `asked` are the volume's own (checked against `allowed`), `defaults` the class's,
 * used when the volume names none; they need no permission. `nosuid` and `nodev` are in the result unless lifted.
 */
export function resolveMountOptions(
  asked: readonly string[] | undefined,
  defaults: readonly string[],
  allowed: readonly string[],
): MountOptions {
  for (const option of asked ?? []) {
    if (DECIDED_ELSEWHERE.includes(option)) {
      return { ok: false, option, message: `mount option "${option}" is set by readOnly of the VolumeMount` };
    }
    if (!RESTRICTING_OPTIONS.includes(option) && !allowed.some((entry) => covers(entry, option))) {
      return { ok: false, option, message: `mount option "${option}" is not allowed by the VolumeClass` };
    }
  }
  const wanted = new Set(asked ?? defaults);
  for (const [option, restriction] of Object.entries(LIFTS)) {
    if (wanted.delete(option)) wanted.delete(restriction);
    else wanted.add(restriction);
  }
  return { ok: true, options: [...wanted].sort() };
}

/** An entry of a class allows the option as written; `NAME=*` allows any value. */
function covers(entry: string, option: string): boolean {
  return entry.endsWith('=*') ? option.startsWith(entry.slice(0, -1)) : entry === option;
}
