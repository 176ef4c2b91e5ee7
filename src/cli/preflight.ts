/** What must hold before anything is started; each failure is one line that says what to do. */
import { readFileSync } from 'node:fs';
import { CliError, ExitCode } from './exit-code.ts';

/** CAP_SYS_ADMIN, `include/uapi/linux/capability.h`. */
const CAP_SYS_ADMIN = 21n;
/** CAP_SYS_RESOURCE, the same. */
const CAP_SYS_RESOURCE = 24n;

/** @throws CliError when this process cannot mount. */
export function requireMountPrivilege(): void {
  if (process.platform !== 'linux') {
    throw new CliError(ExitCode.failed, 'clawstore mounts filesystems of Linux: run it on a Linux machine');
  }
  if (process.getuid?.() !== 0) {
    throw new CliError(ExitCode.failed, 'clawstore must mount and therefore be root: run it with sudo');
  }
  if (!hasCapability(CAP_SYS_ADMIN)) {
    throw new CliError(
      ExitCode.failed,
      'this root may not mount (no CAP_SYS_ADMIN): in a container, start it privileged or with --cap-add SYS_ADMIN',
    );
  }
}

/** Whether this process may resize a mounted ext4 (ext4_resize_fs asks for it). */
export function mayResizeMounted(): boolean {
  return hasCapability(CAP_SYS_RESOURCE);
}

/** Effective capabilities of this process, from `/proc/self/status` (capabilities(7)). */
function hasCapability(bit: bigint): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & (1n << bit)) !== 0n;
}
