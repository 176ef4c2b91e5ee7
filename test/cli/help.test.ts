import { expect } from 'chai';
import type { Command } from 'commander';
import { describe, it } from 'mocha';
import { COMMAND_GROUPS, groupsFor } from '../../src/cli/command-groups.ts';
import { examplesOf } from '../../src/cli/examples.ts';
import { makeProgram } from '../../src/cli/program.ts';
import { volumeCreate } from '../../src/commands/volume/create.ts';

const PROGRAM = await makeProgram(() => undefined);
const PLUGIN = await makeProgram(() => undefined, true);

const everyCommand = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(everyCommand)];
const pathOf = (command: Command): string =>
  command.parent === null ? '' : `${pathOf(command.parent)} ${command.name()}`.trim();

/** The words of an example, as a shell would hand them over; what is piped or written elsewhere is not ours. */
function wordsOf(line: string): readonly string[] {
  const words = line.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  const end = words.findIndex((word) => ['|', '>', '&&'].includes(word));
  return (end === -1 ? words : words.slice(0, end)).map((word) => word.replace(/^(['"])(.*)\1$/, '$2'));
}

for (const [title, isPlugin] of [
  ['clawstore', false],
  ['kubectl clawstore', true],
] as const) {
  describe(`the help of ${title}`, () => {
    const commands = everyCommand(isPlugin ? PLUGIN : PROGRAM);

    it('says what each command is for, and what each option and argument is', () => {
      for (const command of commands) {
        expect(command.description(), pathOf(command)).to.not.equal('');
        for (const option of command.options) expect(option.description, `${pathOf(command)} ${option.flags}`).to.be.ok;
      }
    });

    for (const command of commands.filter(({ parent }) => parent !== null)) {
      it(`has examples for "${pathOf(command)}", shows them, and each is a command line of it`, async () => {
        const examples = examplesOf(command);
        expect(examples).to.not.be.empty;
        let shown = '';
        command.configureOutput({ writeOut: (text) => (shown += text) }).outputHelp();
        expect(shown).to.include('Examples:');
        for (const [line] of examples) {
          expect(shown).to.include(line.replace(/^clawstore/, title));
          const [name, ...args] = wordsOf(line);
          expect(name).to.equal('clawstore');
          const ran = await commandOf(args, isPlugin);
          expect(ran === pathOf(command) || ran.startsWith(`${pathOf(command)} `), `${line} runs "${ran}"`).to.equal(
            true,
          );
        }
      });
    }
  });
}

describe('groups of commands', () => {
  for (const group of COMMAND_GROUPS) {
    it(`has all that ${group.names.join(', ')} need, and names them all`, async () => {
      for (const name of group.names) {
        expect(groupsFor([name, 'x'], false)).to.deep.equal([group]);
        expect(groupsFor([name], true)).to.deep.equal(group.isForMachine === true ? groupsFor([], true) : [group]);
      }
      const { commands } = await makeProgram(() => undefined, false, [group]);
      expect(commands.map((command) => command.name())).to.deep.equal(group.names);
    });
  }

  it('are all there where the first word is no command', () => {
    for (const argv of [[], ['--help'], ['help', 'volume'], ['volumes'], ['-n', 'volume', 'list']]) {
      expect(groupsFor(argv, false)).to.deep.equal(COMMAND_GROUPS);
    }
  });
});

describe('clawstore volume create', () => {
  it('takes the parameters of volume.create, with the same choices', () => {
    const create = PROGRAM.commands
      .find((one) => one.name() === 'volume')
      ?.commands.find((one) => one.name() === 'create');
    for (const [key, { enum: choices }] of Object.entries(volumeCreate.parameters.properties)) {
      if (key === 'name') continue;
      const option = create?.options.find((one) => one.attributeName() === key);
      expect(option, key).to.not.equal(undefined);
      expect(option?.argChoices, key).to.deep.equal(choices);
    }
  });
});

/** Parses with the real parser, and says which command would have run. @throws what the parser says. */
async function commandOf(args: readonly string[], isPlugin: boolean): Promise<string> {
  const program = await makeProgram(() => undefined, isPlugin);
  let ran = '';
  for (const command of everyCommand(program)) {
    command.configureOutput({ writeErr: () => undefined });
    if (command.commands.length > 0 && command.name() !== 'apiserver') continue;
    command.action(() => {
      ran = pathOf(command);
    });
  }
  await program.parseAsync([...args], { from: 'user' });
  return ran;
}
