/**
 * Which commands there are, and what makes them. A command that runs loads its own group alone: making all of them, with
 * their help, takes longer than to ask a server for a list.
 */
import type { Command } from 'commander';
import type { ExitCode } from './exit-code.ts';

/** Adds commands to the program. @param exit is told the exit code of the one that has run. */
export type AddCommands = (program: Command, exit: (code: ExitCode) => void) => void;

export interface CommandGroup {
  /** Every command that it adds. */
  readonly names: readonly string[];
  /** They run on a machine, and are no part of the kubectl plugin. */
  readonly isForMachine?: true;
  load(): Promise<AddCommands>;
}

/** In the order of the help page. */
export const COMMAND_GROUPS: readonly CommandGroup[] = [
  {
    names: ['up', 'controller', 'agent', 'mount-holder', 'down', 'doctor'],
    isForMachine: true,
    load: async () => (await import('./machine-commands.ts')).addMachineCommands,
  },
  {
    names: ['apiserver'],
    isForMachine: true,
    load: async () => (await import('./apiserver-commands.ts')).addApiServerCommands,
  },
  {
    names: ['install', 'uninstall'],
    isForMachine: true,
    load: async () => (await import('./install/commands.ts')).addInstallCommands,
  },
  {
    names: ['invoke'],
    isForMachine: true,
    load: async () => (await import('./invoke-command.ts')).addInvokeCommand,
  },
  {
    names: ['sync'],
    isForMachine: true,
    load: async () => (await import('./sync-commands.ts')).addSyncCommands,
  },
  { names: ['volume'], load: async () => (await import('./volume-commands.ts')).addVolumeCommands },
  { names: ['snapshot'], load: async () => (await import('./snapshot-commands.ts')).addSnapshotCommands },
  { names: ['backup'], load: async () => (await import('./backup-commands.ts')).addBackupCommands },
  { names: ['repository'], load: async () => (await import('./repository-commands.ts')).addRepositoryCommands },
  { names: ['schedule'], load: async () => (await import('./schedule-commands.ts')).addScheduleCommands },
  { names: ['explain'], load: async () => (await import('./explain-command.ts')).addExplainCommand },
  { names: ['completion'], load: async () => (await import('./completion/commands.ts')).addCompletionCommand },
  { names: ['version'], load: async () => (await import('./version-command.ts')).addVersionCommand },
];

/** The groups of which something may run; all of them where the first word is no command, or help is asked for. */
export function groupsFor(argv: readonly string[], isPlugin: boolean): readonly CommandGroup[] {
  if (argv[0] === '--version') return [];
  const offered = COMMAND_GROUPS.filter(({ isForMachine }) => !isPlugin || isForMachine !== true);
  const meant = offered.filter(({ names }) => names.includes(argv[0] ?? ''));
  return meant.length === 0 ? offered : meant;
}
