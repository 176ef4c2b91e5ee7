/** `clawstore completion SHELL`. */
import { Argument, type Command } from 'commander';
import { isPlugin } from '../client-options.ts';
import { withExamples } from '../examples.ts';
import { completionScript, SHELLS, type Shell } from './scripts.ts';

export function addCompletionCommand(program: Command): void {
  const completion = program
    .command('completion')
    .description('print what makes a shell complete commands, flags and names of objects')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell));
    });
  if (isPlugin(program)) {
    completion.addHelpText(
      'after',
      '\nkubectl completes its plugins by itself (1.26 and newer), with kubectl_complete-clawstore in PATH.',
    );
  }
  withExamples(
    completion,
    ['clawstore completion bash > /etc/bash_completion.d/clawstore'],
    ['clawstore completion zsh > /usr/local/share/zsh/site-functions/_clawstore'],
    ['clawstore completion fish > ~/.config/fish/completions/clawstore.fish'],
  );
}
