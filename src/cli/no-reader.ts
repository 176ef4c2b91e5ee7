/** `| head` has read enough: that is no error, and ends a command quietly. A daemon stays: {@link stayWithoutReader}. */
import { ExitCode } from './exit-code.ts';

function leave(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(ExitCode.ok);
}

export function leaveWithoutReader(): void {
  process.stdout.on('error', leave);
}

/** Nobody ends a daemon by not reading what it prints: that goes nowhere then. */
export function stayWithoutReader(): void {
  process.stdout.off('error', leave);
  process.stdout.on('error', () => undefined);
}
