/** Real repositories on this disk, read by the real git through the helper's own way of running programs. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { run } from '../../src/node/helper/command.ts';
import type { RunCommand } from '../../src/node/operations.ts';
import type { RunProgram } from '../../src/sync/git.ts';
import { GitSource, type GitSourceOptions } from '../../src/sync/git-source.ts';
import { LIMITS, type Reading, SourceError } from '../../src/sync/source.ts';
import { type GitSpec, parseSource } from '../../src/sync/source-spec.ts';
import { SshServer } from '../support/harness/ssh-server.ts';

const never = new AbortController().signal;
let folder: string;
let repository: string;
let commands: RunCommand[];

function git(...args: readonly string[]): string {
  return execFileSync('git', ['-C', repository, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

function write(path: string, text = 'a: 1\n'): void {
  mkdirSync(dirname(join(repository, path)), { recursive: true });
  writeFileSync(join(repository, path), text);
}

/** @returns the commit. */
function commit(...args: readonly string[]): string {
  git('add', '--all');
  git('commit', '--quiet', '--message=x', '--allow-empty', ...args);
  return git('rev-parse', 'HEAD');
}

const runHere: RunProgram = (command, { signal, deadlineMs }) => {
  commands.push(command);
  return run(command, { signal: AbortSignal.any([signal, AbortSignal.timeout(deadlineMs)]) });
};

function source(fragment = '', more: Partial<GitSourceOptions> = {}, url = `file://${repository}`): GitSource {
  const spec = parseSource(`${url}${fragment}`) as GitSpec;
  const directory = join(folder, 'copy');
  return new GitSource({ spec, directory, run: runHere, credentialsFile: undefined, environment: {}, ...more });
}

const seen = ({ files }: Reading): Readonly<Record<string, string>> =>
  Object.fromEntries(files.map((file) => [file.path, 'text' in file ? file.text : `! ${file.problem}`] as const));
const failure = async (work: Promise<unknown>): Promise<SourceError> => {
  const thrown = await work.then(
    (read) => new Error(`it was read: ${JSON.stringify(read)}`),
    (error: unknown) => error,
  );
  if (thrown instanceof SourceError) return thrown;
  throw thrown;
};

describe('a Git repository', function () {
  this.timeout(120_000);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-git-'));
    repository = join(folder, 'origin');
    commands = [];
    mkdirSync(repository);
    git('init', '--quiet', '--initial-branch=main');
    git('config', 'user.email', 'test@clawstore.example');
    git('config', 'user.name', 'test');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is read at its branch and folder, with the commit as revision, and again when that changes', async () => {
    write('nodes/gpu-7/a.yaml', 'a: 1\n');
    write('nodes/gpu-8/b.yaml');
    write('README.md');
    const first = commit();
    const one = source('#main:nodes/gpu-7');
    expect(await one.read(never)).to.deep.equal({ revision: first, files: [{ path: 'a.yaml', text: 'a: 1\n' }] });
    write('nodes/gpu-7/a.yaml', 'a: 2\n');
    const second = commit();
    expect(await one.read(never)).to.deep.equal({ revision: second, files: [{ path: 'a.yaml', text: 'a: 2\n' }] });
    expect(await one.read(never)).to.have.property('revision', second);
    expect(seen(await source().read(never))).to.have.all.keys('nodes/gpu-7/a.yaml', 'nodes/gpu-8/b.yaml');
  });

  it('is read at the branch that is named, at a tag, and at its own HEAD where none is', async () => {
    write('a.yaml', 'main\n');
    const main = commit();
    git('tag', '--annotate', 'v1', '--message=v1');
    git('checkout', '--quiet', '-b', 'feature/x');
    write('a.yaml', 'feature\n');
    const feature = commit();
    git('checkout', '--quiet', 'main');
    expect(await source('#feature/x').read(never)).to.have.property('revision', feature);
    expect(await source('#refs/tags/v1').read(never)).to.have.property('revision', main);
    expect(await source().read(never)).to.have.property('revision', main);
  });

  it('is fetched without its history, and follows a branch that was forced back', async () => {
    write('a.yaml', 'one\n');
    const first = commit();
    write('a.yaml', 'two\n');
    commit();
    const one = source('#main');
    await one.read(never);
    git('reset', '--quiet', '--hard', first);
    write('b.yaml');
    const forced = commit('--amend');
    const reading = await one.read(never);
    expect(reading.revision).to.equal(forced);
    expect(Object.keys(seen(reading))).to.deep.equal(['a.yaml', 'b.yaml']);
    const copy = join(folder, 'copy/repository');
    expect(
      execFileSync('git', ['--git-dir', copy, 'rev-list', '--count', forced], { encoding: 'utf8' }).trim(),
    ).to.equal('1');
  });

  it('has files that are not read named: links, submodules, what is too large; hidden ones are left out', async () => {
    write('a.yaml');
    write('.github/workflow.yaml');
    write('large.yaml', '#'.repeat(LIMITS.fileBytes + 1));
    symlinkSync('/etc/passwd', join(repository, 'link.yaml'));
    symlinkSync('/etc', join(repository, 'etc'));
    const head = commit();
    git('update-index', '--add', '--cacheinfo', `160000,${head},sub`);
    git('commit', '--quiet', '--message=sub');
    const found = seen(await source().read(never));
    expect(found).to.have.all.keys('a.yaml', 'large.yaml', 'link.yaml', 'sub');
    expect(found['large.yaml']).to.include('larger than');
    expect(found['link.yaml']).to.include('symbolic link');
    expect(found['sub']).to.include('submodule');
  });

  it('runs nothing that it brings or that the machine is configured for', async () => {
    const mark = join(folder, 'ran');
    write('a.yaml', 'a: $Id$\n');
    write('.gitattributes', '*.yaml filter=evil ident\n');
    commit();
    const home = join(folder, 'home');
    mkdirSync(home);
    writeFileSync(
      join(home, '.gitconfig'),
      `[filter "evil"]\n\tsmudge = touch ${mark}\n[core]\n\thooksPath = ${home}\n`,
    );
    writeFileSync(join(home, 'post-checkout'), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
    const environment = { HOME: home, GIT_CONFIG_GLOBAL: join(home, '.gitconfig'), GIT_EXEC_PATH: home };
    await source('', { environment }).read(never);
    expect(existsSync(mark)).to.equal(false);
    for (const { argv, env } of commands) {
      expect(env).to.include({ GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_ALLOW_PROTOCOL: 'file' });
      expect(env?.['HOME']).to.equal(join(folder, 'copy'));
      expect(argv).to.include('core.hooksPath=/dev/null');
    }
    const fetch = commands.find(({ argv }) => argv.includes('fetch'));
    expect(fetch?.argv.slice(-3)).to.deep.equal(['--', `file://${repository}`, '+HEAD:refs/clawstore/fetched']);
  });

  const broken: readonly (readonly [string, string, string])[] = [
    ['a branch that is not there', '#none', 'SourceUnreachable'],
    ['a folder that is not there', '#main:none', 'SourceRefused'],
    ['a file for a folder', '#main:a.yaml', 'SourceRefused'],
  ];
  for (const [what, fragment, reason] of broken) {
    it(`is no empty source: ${what} is said`, async () => {
      write('a.yaml');
      commit();
      const error = await failure(source(fragment).read(never));
      expect(error.reason).to.equal(reason);
      expect(error.message).to.match(/none|a\.yaml/);
    });
  }

  it('that is gone is unreachable, and read again when it is back', async () => {
    write('a.yaml');
    const revision = commit();
    const one = source('', {}, `file://${repository}`);
    await one.read(never);
    execFileSync('mv', [repository, `${repository}-away`]);
    expect(await failure(one.read(never))).to.have.property('reason', 'SourceUnreachable');
    execFileSync('mv', [`${repository}-away`, repository]);
    expect(await one.read(never)).to.have.property('revision', revision);
  });

  it('is fetched anew when the copy is damaged, as by a git that was killed', async () => {
    write('a.yaml');
    commit();
    const one = source('#main');
    await one.read(never);
    const copy = join(folder, 'copy/repository');
    writeFileSync(join(copy, 'shallow.lock'), '');
    writeFileSync(join(copy, 'HEAD'), 'nonsense');
    write('a.yaml', 'a: 2\n');
    const second = commit();
    await failure(one.read(never));
    expect(await one.read(never)).to.have.property('revision', second);
  });

  it('that holds on is given up at the deadline', async () => {
    const silent = createServer(() => undefined);
    const url = await listen(silent);
    try {
      const error = await failure(source('', { fetchMs: 500 }, `${url}/a.git`).read(never));
      expect(error.reason).to.equal('SourceUnreachable');
      expect(error.message).to.include('did not end');
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  it('over ssh is reached by the command that was given for it, and by nothing else', async () => {
    write('a.yaml');
    const revision = commit();
    // Stands for ssh: runs here what it should run there.
    const ssh = join(folder, 'ssh');
    writeFileSync(ssh, `#!/bin/sh\necho "$@" >>${ssh}.hosts\nfor last; do :; done\nexec sh -c "$last"\n`, {
      mode: 0o755,
    });
    const url = `git@git.example:${repository}`;
    const environment = { GIT_SSH_COMMAND: ssh, SSH_AUTH_SOCK: '/run/agent' };
    expect(await source('#main', { environment }, url).read(never)).to.have.property('revision', revision);
    expect(readFileSync(`${ssh}.hosts`, 'utf8')).to.match(/git@git\.example/);
    for (const { env } of commands) expect(env).not.to.have.property('SSH_AUTH_SOCK');
    writeFileSync(ssh, '#!/bin/sh\necho "git@git.example: Permission denied (publickey)." >&2\nexit 255\n');
    const refused = await failure(source('#main', { environment }, url).read(never));
    expect(refused.message).to.include('Permission denied (publickey)');
  });

  it('over ssh is read from a real server by who has its key and knows it, and by nobody else', async () => {
    const server = await SshServer.start();
    try {
      write('a.yaml');
      const revision = commit();
      const url = `ssh://root@127.0.0.1:${server.port}${repository}`;
      const by = (command: string): GitSource => source('#main', { environment: { GIT_SSH_COMMAND: command } }, url);
      expect(seen(await by(server.client(server.key)).read(never))).to.deep.equal({ 'a.yaml': 'a: 1\n' });
      expect(await by(server.client(server.key)).read(never)).to.have.property('revision', revision);
      const stranger = await failure(by(server.client(server.otherKey)).read(never));
      expect(stranger.message).to.include('Permission denied (publickey)');
      const impostor = await failure(by(server.client(server.key, 'no_hosts')).read(never));
      expect(impostor.message).to.include('Host key verification failed');
    } finally {
      await server.end();
    }
  });

  it('over HTTP is let in with what the credentials file says, which is shown to nobody', async () => {
    write('a.yaml', 'a: 1\n');
    const revision = commit();
    const server = createServer((request, response) => smartHttp(folder, request, response));
    const url = `${await listen(server)}/origin/.git`;
    const credentials = join(folder, 'credentials');
    try {
      expect((await failure(source('', {}, url).read(never))).message).to.match(
        /fatal: .*(?:password|Username|Authentication)/i,
      );
      writeFileSync(credentials, `${url.replace('://', '://robot:wrong-secret@')}\n`, { mode: 0o600 });
      const refused = await failure(source('', { credentialsFile: credentials }, url).read(never));
      expect(refused.message).not.to.include('wrong-secret');
      writeFileSync(credentials, `${new URL(url).origin.replace('://', '://robot:right-secret@')}\n`);
      const one = source('', { credentialsFile: credentials }, url);
      expect(await one.read(never)).to.have.property('revision', revision);
      expect(JSON.stringify(commands)).not.to.include('secret');
      expect(existsSync(join(folder, 'copy/.git-credentials'))).to.equal(false);
      expect(readFileSync(credentials, 'utf8')).to.include('right-secret');
      chmodSync(credentials, 0o644);
      expect((await failure(one.read(never))).message).to.include('chmod 600');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** `git http-backend`, for whoever knows the password. */
function smartHttp(root: string, request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.authorization !== `Basic ${Buffer.from('robot:right-secret').toString('base64')}`) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const url = new URL(request.url ?? '', 'http://h');
    const answer = execFileSync('git', ['http-backend'], {
      input: Buffer.concat(chunks),
      maxBuffer: 64 * 1024 * 1024,
      env: {
        PATH: process.env['PATH'],
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        REMOTE_USER: 'robot',
      },
    });
    const end = answer.indexOf('\r\n\r\n');
    const headers = answer
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line) => line.split(': ') as [string, string]);
    const status = headers.find(([name]) => name === 'Status')?.[1];
    response.writeHead(Number(status?.slice(0, 3) ?? 200), Object.fromEntries(headers));
    response.end(answer.subarray(end + 4));
  });
}
