import { readFileSync } from 'node:fs';

/**
 * Tells a process from any other that has or had its number: the number, when it started (clock ticks since boot, proc(5),
 * field 22 of `stat`) and during which boot. Machines boot alike: after a power cut the same program may well have the
 * same number at the same tick. Returns undefined when the process has ended.
 */
export function processIdentity(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold blanks and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing; where nobody reaps (a container without an init) it stays for ever.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${pid}:${fields[19]}:${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`;
  } catch {
    return undefined;
  }
}
