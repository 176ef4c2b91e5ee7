/** The scripts of `clawstore completion` in the shells that they are for. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import { toolPath, toolRuntime } from '../../../scripts/tools.ts';
import { completionScript, SHELLS } from '../../../src/cli/completion/scripts.ts';
import { CLAWSTORE } from '../../support/harness/clawstore.ts';
import { run } from '../../support/harness/exec.ts';
import { Terminal } from '../../support/harness/terminal.ts';
import { bareEnvironment } from '../bare-environment.ts';

/** What is typed before TAB, and what stands there afterwards. */
const TYPED: readonly (readonly [typed: string, completed: string])[] = [
  ['clawstore volume des', 'clawstore volume describe '],
  ['clawstore volume list --outp', 'clawstore volume list --output '],
  ['clawstore volume create data --type host', 'clawstore volume create data --type hostpath '],
  ['clawstore volume create data --type=host', 'clawstore volume create data --type=hostpath '],
];
const PROMPT = 'your turn: ';

describe('completion in', function () {
  this.timeout(120_000);
  let folder: string;
  let env: NodeJS.ProcessEnv;
  let terminal: Terminal | undefined;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-shells-'));
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    mkdirSync(join(folder, 'directory'));
    symlinkSync(CLAWSTORE, join(bin, 'clawstore'));
    for (const shell of SHELLS) writeFileSync(join(folder, `clawstore.${shell}`), completionScript(shell));
    const path = [bin, dirname(process.execPath), process.env['PATH']].join(':');
    // Nothing of this machine's own instance, if it has one; and the sources, whatever was built.
    const own = { HOME: folder, CLAWSTORE_STATE_DIR: join(folder, 'state'), CLAWSTORE_DEV: '1' };
    env = bareEnvironment({ ...own, PATH: path });
  });
  afterEach(async () => {
    await terminal?.kill();
    terminal = undefined;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('bash', async () => {
    const rc = join(folder, 'bashrc');
    writeFileSync(rc, `PS1='${PROMPT}'\n. ${folder}/clawstore.bash\n`);
    for (const [typed, expected] of TYPED) {
      terminal = new Terminal(`bash --rcfile ${rc} -i`, { env, cwd: folder });
      await terminal.shows(new RegExp(`${PROMPT}$`));
      terminal.type(`${typed}\t`);
      await terminal.shows(new RegExp(`${PROMPT}${expected}$`));
      await terminal.kill();
    }
  });

  it('bash, where file names are meant', async () => {
    const rc = join(folder, 'bashrc');
    writeFileSync(rc, `PS1='${PROMPT}'\n. ${folder}/clawstore.bash\n`);
    terminal = new Terminal(`bash --rcfile ${rc} -i`, { env, cwd: folder });
    await terminal.shows(new RegExp(`${PROMPT}$`));
    terminal.type('clawstore up --state-dir dire\t');
    await terminal.shows(/--state-dir directory\/$/);
  });

  it('zsh', async () => {
    const zsh = await toolPath('zsh');
    const root = zsh.replace(/\/bin\/zsh$/, '');
    const functions = join(root, 'usr/share/zsh/functions');
    const own = existsSync(functions)
      ? `module_path=(${root}/usr/lib/*/zsh/*(/N))\nfpath=(${functions}/**/*(/N))\n`
      : '';
    writeFileSync(
      join(folder, '.zshrc'),
      `${own}PS1='${PROMPT}'\nautoload -Uz compinit\ncompinit -u -d ${folder}/dump\n. ${folder}/clawstore.zsh\n`,
    );
    for (const [typed, expected] of TYPED) {
      terminal = new Terminal(`${zsh} -i`, { env: { ...env, ZDOTDIR: folder }, cwd: folder });
      await terminal.shows(new RegExp(PROMPT));
      terminal.type(`${typed}\t`);
      await terminal.shows(new RegExp(expected.trimEnd().slice(typed.length - 3)));
      // Control-A is the beginning of the line: the shell says what the line has become.
      terminal.type('\u0001echo "now: \u0005"\n');
      await terminal.shows(new RegExp(`\nnow: ${expected.trimEnd()}\\s`));
      await terminal.kill();
    }
  });

  it('fish', async () => {
    const fish = await toolPath('fish');
    const functions = join(fish.replace(/\/bin\/fish$/, ''), 'share/fish/functions');
    const setup = existsSync(functions) ? `set fish_function_path ${functions}; ` : '';
    const options = { env: { ...env, ...(await toolRuntime('fish')) }, cwd: folder };
    const ask = (typed: string): Promise<string> =>
      run(fish, ['--no-config', '-c', `${setup}source ${folder}/clawstore.fish; complete -C '${typed}'`], options);
    for (const [typed, expected] of TYPED) {
      const [first = ''] = (await ask(typed)).split('\n');
      expect(first.split('\t')[0]).to.equal(expected.trimEnd().split(' ').at(-1));
    }
    expect(await ask('clawstore volume des')).to.match(/^describe\tsay what is known/);
    expect(await ask('clawstore up --state-dir dire')).to.match(/^directory\//);
  });
});
