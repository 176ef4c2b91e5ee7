/**
 * The README's "First five minutes", line by line, as it stands there: each `sh` block is run, and the `text` block after
 * it, if there is one, must be found in what it printed (`…` stands for anything).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { Daemon } from '../test/support/harness/daemon.ts';
import { exec } from '../test/support/harness/exec.ts';
import { CHECKOUT, FreshHost, MOUNT_ROOT } from '../test/support/harness/fresh-host.ts';
import { mountsBelow } from '../test/support/harness/mounts.ts';
import { waitFor } from '../test/support/harness/wait.ts';

interface Step {
  readonly script: string;
  readonly printed: readonly string[];
}

/** The blocks of one section of a Markdown file. @throws Error when it has none. */
function stepsOf(markdown: string, heading: string): readonly Step[] {
  const section = markdown.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  const blocks = [...(section ?? '').matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, kind, text = '']) => ({
    kind,
    text,
  }));
  const steps = blocks.flatMap(({ kind, text }, index) => {
    const next = blocks[index + 1];
    if (kind !== 'sh') return [];
    return [{ script: text, printed: next?.kind === 'text' ? next.text.trimEnd().split('\n') : [] }];
  });
  if (steps.length === 0) throw new Error(`there are no steps in "${heading}"`);
  return steps;
}

/** Blanks count as one, `…` as anything. */
function shown(output: string, line: string): boolean {
  const escaped = line
    .trim()
    .split('…')
    .map((part) =>
      part
        .trim()
        .split(/\s+/)
        .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('\\s+'),
    );
  const pattern = new RegExp(escaped.join('.*'));
  return output.split('\n').some((text) => pattern.test(text));
}

/** Whether a script changes nothing. */
function isLook(script: string): boolean {
  return script
    .trim()
    .split('\n')
    .every((line) => /^(export|kubectl get|findmnt) /.test(line));
}

describe('the first five minutes of the README', function () {
  this.timeout(300_000);
  this.bail(true); // what fails makes the rest meaningless
  const [start, ...steps] = stepsOf(readFileSync(join(CHECKOUT, 'README.md'), 'utf8'), 'First five minutes');
  let host: FreshHost;
  let make: Daemon;
  let exports = '';

  before(async () => {
    host = await FreshHost.prepare();
  });

  after(async () => {
    await make?.stop('SIGTERM').catch(() => undefined);
    await host?.end();
  });

  it(`terminal 1: ${start?.script.trim()}`, async () => {
    expect(start?.script.trim()).to.equal('make run');
    make = new Daemon({
      name: 'make run',
      command: 'make',
      args: ['run'],
      logFile: join(host.directory, 'make-run.log'),
      env: host.env,
      cwd: CHECKOUT,
    });
    await waitFor(
      () => {
        make.assertRunning();
        return /VolumeMount default\/scratch-trainer: Mounted, Ready/.test(make.output());
      },
      { deadline: 240_000, message: 'the samples to be Ready', instead: () => make.tail() },
    );
    expect(make.output()).to.include('export KUBECONFIG=/var/lib/clawstore/kubeconfig');
  });

  for (const { script, printed } of steps) {
    it(`terminal 2: ${script.trim().split('\n')[0]}`, async () => {
      const shell = `set -eu -o pipefail\n${exports}${script}`;
      const look = async (): Promise<string> => {
        const options = { env: host.env, cwd: CHECKOUT, deadline: 240_000 };
        const { code, stdout, stderr } = await exec('bash', ['-c', shell], options);
        expect(code, `${stderr}${stdout}`).to.equal(0);
        const lacking = printed.find((line) => !shown(stdout, line));
        return lacking === undefined ? '' : `prints no "${lacking}"; it printed:\n${stdout}${stderr}`;
      };
      // Who only looks may look again: what was done a moment ago may not be counted yet.
      if (isLook(script)) await waitFor(async () => (await look()) === '', { message: 'what is shown', instead: look });
      else expect(await look()).to.equal('');
      exports += script
        .split('\n')
        .filter((line) => line.startsWith('export '))
        .map((line) => `${line}\n`)
        .join('');
    });
  }

  it('leave nothing behind', async () => {
    await make.exited;
    expect(mountsBelow(MOUNT_ROOT).map(({ target }) => target)).to.deep.equal([]);
  });
});
