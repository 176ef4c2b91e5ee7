/** The commands that run the product on this machine, with their help. */
import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import type { ExitCode } from './exit-code.ts';
import { formatOption, seconds, settingsOf, timeoutOption, withSettings } from './options.ts';
import { parseFormat } from './output.ts';

/** `clawstore up`, `controller`, `agent`, `mount-holder`, `down`, `doctor`. */
export function addMachineCommands(program: Command, exit: (code: ExitCode) => void): void {
  const up = withSettings(program.command('up'))
    .description('run everything for one machine: control plane, controllers and node agent')
    .option('--apply <dir>', 'apply the manifests of this directory once the control plane is ready')
    .option('--live', 'show the volumes and mounts instead of logs')
    .option('--until-ready', 'end when everything applied is Ready: exit code 0, or 1 naming what is not')
    .addOption(timeoutOption('how long --until-ready waits'))
    .action(async (options: UpFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { up } = await import('./up.ts');
      exit(
        await up(settings, {
          applyDir: options.apply,
          live: options.live === true,
          untilReadyMs: options.untilReady === true ? seconds('--timeout', options.timeout) : undefined,
        }),
      );
    });
  withExamples(
    up,
    ['clawstore up'],
    ['clawstore up --state-dir /srv/clawstore --apply manifests', 'with these objects'],
    ['clawstore up --apply manifests --until-ready --timeout 30', 'for scripts: ends when all are Ready'],
    ['clawstore up --live', 'a table instead of logs'],
    ['clawstore up --sync /etc/clawstore/manifests', 'keep it equal to a folder'],
    ["clawstore up --sync 'https://git.example/team/storage.git#main:gpu-7'", 'or to a folder of a branch'],
  );

  const controller = withSettings(program.command('controller'))
    .description('run the cluster-wide controllers: placement, grants, lost nodes')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['controller'], settings));
    });
  withExamples(controller, ['clawstore controller --kubeconfig /etc/clawstore/controller.kubeconfig']);

  const agent = withSettings(program.command('agent'))
    .description('run the node agent, which does every mount on its node; one per node')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { runDaemon } = await import('./daemon.ts');
      exit(await runDaemon(['agent'], settings));
    });
  withExamples(
    agent,
    ['clawstore agent --kubeconfig /etc/clawstore/node.kubeconfig --node-name gpu-7'],
    ['clawstore agent --host-path-allow /data,/srv --metrics 127.0.0.1:9090'],
  );

  const holder = withSettings(program.command('mount-holder'))
    .description('start the processes of s3 mounts for an agent with --mount-holder on, and outlive its pod')
    .action(async (_options: unknown, command: Command) => {
      const settings = await settingsOf(command);
      const { mountHolder } = await import('./mount-holder.ts');
      exit(await mountHolder(settings));
    });
  withExamples(holder, ['clawstore mount-holder', 'beside: clawstore agent --mount-holder on']);

  const down = withSettings(program.command('down'))
    .description('stop what runs on this state directory and unmount everything; data stays')
    .option('--purge', 'also delete the state directory with all volumes made in it')
    .option('--yes', 'do not ask before --purge')
    .option('--drop-unsent', 'lose what was written to s3 volumes and has not reached the server')
    .addOption(timeoutOption('how long to wait for unmounts and uploads'))
    .action(async (options: DownFlags, command: Command) => {
      const settings = await settingsOf(command);
      const { down } = await import('./down.ts');
      exit(
        await down(settings, {
          purge: options.purge === true,
          yes: options.yes === true,
          dropUnsent: options.dropUnsent === true,
          timeoutMs: seconds('--timeout', options.timeout),
        }),
      );
    });
  withExamples(
    down,
    ['clawstore down', 'unmounts everything, keeps the data'],
    ['clawstore down --purge --yes', 'also deletes it'],
  );

  const doctor = withSettings(program.command('doctor'))
    .description('what this host lacks, and what that turns off')
    .addOption(formatOption())
    .action(async (options: { readonly output: string }, command: Command) => {
      const settings = await settingsOf(command);
      const { doctor } = await import('./doctor.ts');
      exit(await doctor(settings, parseFormat(options.output)));
    });
  withExamples(doctor, ['clawstore doctor'], ['clawstore doctor -o json']);
}

interface UpFlags {
  readonly apply?: string;
  readonly live?: boolean;
  readonly untilReady?: boolean;
  readonly timeout: string;
}

interface DownFlags {
  readonly dropUnsent?: boolean;
  readonly purge?: boolean;
  readonly yes?: boolean;
  readonly timeout: string;
}
