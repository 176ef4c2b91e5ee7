/** The commands `clawstore apiserver …` with their help. */
import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { settingsOf, withSettings } from './options.ts';

/** `clawstore apiserver` and what looks after its database and who may use it. */
export function addApiServerCommands(program: Command, exit: (code: ExitCode) => void): void {
  const apiserver = withSettings(program.command('apiserver'))
    .description('run the embedded control plane alone, or look after its database and who may use it')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['apiserver'], settings));
    });
  withExamples(apiserver, ['clawstore apiserver --listen 0.0.0.0:6443', 'for nodes elsewhere']);

  const backup = withSettings(apiserver.command('backup'))
    .description('copy the database of the control plane to a new file, while it runs or not')
    .argument('<file>', 'the copy; it holds every Secret, and is for its owner alone (0600)')
    .action(async (file: string, _options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { backupApiServer } = await import('./backup-apiserver.ts');
      exit(backupApiServer(settings, file));
    });
  withExamples(backup, ['clawstore apiserver backup /srv/control-plane.db']);

  const restore = withSettings(apiserver.command('restore'))
    .description('put a backup in the place of the database; nothing may run on the state directory')
    .argument('<file>', 'made by clawstore apiserver backup')
    .action(async (file: string, _options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { restoreApiServer } = await import('./backup-apiserver.ts');
      exit(restoreApiServer(settings, file));
    });
  withExamples(restore, ['clawstore apiserver restore /srv/control-plane.db']);

  const credential = withSettings(apiserver.command('credential'))
    .description('print a kubeconfig for somebody else: a new token, or a client certificate')
    .requiredOption('--role <role>', 'admin, viewer (reads all but Secrets), node (its agent) or controller')
    .requiredOption('--name <name>', "the user's name; for the role node the node's")
    .option('--client-certificate', 'a certificate, good for a year, which cannot be taken back, instead of a token')
    .option('--server <url>', "where the holder reaches the server (default: as in the administrator's kubeconfig)")
    .option('--revoke', 'take the tokens of this name back')
    .action(async (options: CredentialFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { credential } = await import('./credential.ts');
      const { role, name, server } = options;
      const clientCertificate = options.clientCertificate === true;
      exit(await credential(settings, { role, name, server, clientCertificate, revoke: options.revoke === true }));
    });
  withExamples(
    credential,
    ['clawstore apiserver credential --role viewer --name dashboard > dashboard.kubeconfig'],
    ['clawstore apiserver credential --role node --name gpu-7 --client-certificate > gpu-7.kubeconfig'],
    ['clawstore apiserver credential --role viewer --name dashboard --revoke'],
  );
}

interface CredentialFlags {
  readonly role: string;
  readonly name: string;
  readonly clientCertificate?: boolean;
  readonly server?: string;
  readonly revoke?: boolean;
}
