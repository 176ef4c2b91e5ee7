/** What completes an argument or the value of an option, where the program itself does not say so. */
import { Argument, type Option } from 'commander';
import type { ResourceDescriptor } from '../../api/meta.ts';
import type { Target } from '../client-options.ts';

/** Names of objects, files or directories of this machine, or whatever a function finds for the target. */
export type Completer =
  | ResourceDescriptor
  | readonly ResourceDescriptor[]
  | 'files'
  | 'directories'
  | ((target: Target) => Promise<readonly string[]>);

const COMPLETERS = new WeakMap<Argument | Option, Completer>();

/** An argument or option that shells complete with this. */
export function completedBy<Of extends Argument | Option>(of: Of, completer: Completer): Of {
  COMPLETERS.set(of, completer);
  return of;
}

/** The argument `<name>` of a command that is about an object that exists. */
export function nameArgument(name: string, help: string, resource: ResourceDescriptor): Argument {
  return completedBy(new Argument(name, help), resource);
}

/** What was given for it. */
export function completerOf(of: Argument | Option): Completer | undefined {
  return COMPLETERS.get(of);
}
