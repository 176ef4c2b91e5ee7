import type { Command } from 'commander';
import { withExamples } from './examples.ts';
import { formatOption } from './options.ts';
import { parseFormat, render } from './output.ts';
import { productVersion } from './version.ts';

/** `clawstore version`. */
export function addVersionCommand(program: Command): void {
  const version = program
    .command('version')
    .description('print the version')
    .addOption(formatOption())
    .action(async (options: { readonly output: string }) => {
      const format = parseFormat(options.output);
      const info = {
        version: productVersion(),
        node: process.version,
        platform: `${process.platform}/${process.arch}`,
      };
      process.stdout.write(format === 'table' ? `clawstore ${info.version}\n` : await render(info, format));
    });
  withExamples(version, ['clawstore version'], ['clawstore version -o json']);
}
