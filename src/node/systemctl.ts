/** systemd of this machine, through systemctl(1). */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findProgram } from './programs.ts';

export interface SystemctlResult {
  readonly ok: boolean;
  /** What it printed. */
  readonly text: string;
}

/** Whether systemd runs this machine, as sd_booted(3) finds out. */
export function isSystemdRunning(): boolean {
  return existsSync('/run/systemd/system');
}

/** Runs systemctl; killed when the signal aborts. Never throws: how it ended is the answer. */
export function systemctl(args: readonly string[], signal: AbortSignal): Promise<SystemctlResult> {
  const program = findProgram('systemctl');
  if (program === undefined) return Promise.resolve({ ok: false, text: 'systemctl is not installed' });
  return new Promise((resolve) => {
    const options = { signal, killSignal: 'SIGKILL' as const, env: { PATH: process.env['PATH'], LC_ALL: 'C' } };
    execFile(program, [...args], options, (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`.trim();
      if (error === null) resolve({ ok: true, text });
      else resolve({ ok: false, text: signal.aborted ? 'it did not end in time' : text || error.message });
    });
  });
}

/** The version of systemd; undefined where there is none. */
export async function systemdVersion(signal: AbortSignal): Promise<number | undefined> {
  const { ok, text } = await systemctl(['--version'], signal);
  const version = /^systemd (\d+)/.exec(text)?.[1];
  return ok && version !== undefined ? Number(version) : undefined;
}
