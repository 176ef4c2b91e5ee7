/** What a person is told to type next: lines that work as they stand, whatever the settings. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';
import { DEFAULT_MOUNT_ROOT, DEFAULT_STATE_DIR, type Settings } from './settings.ts';

type Places = Pick<Settings, 'stateDir' | 'kubeconfig' | 'mountRoot'>;

/** Lines to try in another terminal. `metrics` is the URL of the metrics server, where there is one. */
export function howToUse(settings: Places, metrics: string | undefined): readonly string[] {
  const lines = [
    `export KUBECONFIG=${settings.kubeconfig}`,
    'kubectl get volumes,volumemounts',
    'kubectl explain volume.spec',
    `${commandLine('invoke', settings)} list -o table`,
    ...(metrics === undefined ? [] : [`curl -s ${metrics}`]),
    `${downCommand(settings).padEnd(32)} # unmounts everything, keeps the data`,
  ];
  return ['In another terminal:', ...lines.map((line) => `  ${line}`)];
}

/** The command that takes everything down. */
export function downCommand(settings: Places): string {
  return commandLine('down', settings);
}

function commandLine(command: string, { stateDir, mountRoot }: Places): string {
  // In a checkout the binary is npm's; elsewhere it is in PATH.
  const binary = existsSync(join(packageRoot(), 'src', 'main.ts')) ? 'npx clawstore' : 'clawstore';
  const parts = [binary, command];
  if (stateDir !== DEFAULT_STATE_DIR) parts.push('--state-dir', stateDir);
  if (mountRoot !== DEFAULT_MOUNT_ROOT && command === 'down') parts.push('--mount-root', mountRoot);
  return parts.join(' ');
}
