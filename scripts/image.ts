/**
 * Builds the image of the Dockerfile with buildah, on base images that are made of Debian packages on this machine: no
 * registry is asked, and no engine has to run.
 *
 *   node scripts/image.ts unpack DIR   the root of the image into the empty directory DIR; prints what it is to run, as JSON
 *
 * What did not change is taken from CACHE/images, which is one build's at a time.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { cacheRoot } from './tools/cache.ts';
import { follow, output } from './tools/run.ts';
import { toolPath } from './tools.ts';

const checkout = join(import.meta.dirname, '..');
const NAME = 'localhost/clawstore';
/** Each change of the sources leaves some images behind; with so many the next build begins anew. */
const MANY_IMAGES = 100;

/** What an image says of itself. Source: the OCI image specification, config.md. */
export interface ImageConfig {
  readonly User: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
}

/** Runs `unpack` in a child that holds the lock of the store. @throws Error with its last lines when that fails. */
export async function unpackImage(directory: string): Promise<ImageConfig> {
  const store = join(cacheRoot(), 'images');
  mkdirSync(store, { recursive: true });
  const args = ['--exclusive', join(store, 'lock'), process.execPath, import.meta.filename, 'unpack', directory];
  let config = '';
  // npm, asked for its version, would leave what it compiled in TMPDIR.
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
  await follow('flock', args, { cwd: checkout, env }, (line) => {
    if (line.startsWith('{')) config = line;
  });
  return JSON.parse(config) as ImageConfig;
}

class Builder {
  readonly #env: NodeJS.ProcessEnv;
  readonly #store: string;
  readonly #scratch: string;
  readonly #policy: string;

  constructor(scratch: string) {
    this.#scratch = scratch;
    this.#store = join(cacheRoot(), 'images/store');
    this.#env = { ...process.env, BUILDAH_ISOLATION: 'chroot', TMPDIR: scratch };
    this.#policy = join(scratch, 'policy.json');
    // Nothing comes from elsewhere.
    writeFileSync(this.#policy, JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
  }

  /** Of containers that a killed build has left; of everything when it has become too much. */
  async clean(): Promise<void> {
    await this.run('rm', '--all');
    const images = (await this.run('images', '--all', '--quiet')).trim().split('\n');
    if (images.length > MANY_IMAGES) await output('rm', ['-rf', '--one-file-system', '--', this.#store]);
  }

  /** A base image: made of `archive` on top of `from`, and of what `fill` adds to its root. */
  async base(name: string, from: string, fill: (container: string) => Promise<void>): Promise<string> {
    if ((await this.run('images', '--quiet', '--filter', `reference=${name}`)) !== '') return name;
    const container = (await this.run('from', '--pull=never', ...this.#signatures, from)).trim();
    await fill(container);
    await this.run('commit', ...this.#signatures, '--rm', container, name);
    return name;
  }

  async build(args: readonly string[], line: (text: string) => void): Promise<void> {
    const all = [...this.#global('build'), '--pull=never', '--layers', ...this.#signatures, ...args, checkout];
    await follow('buildah', all, { cwd: checkout, env: this.#env }, line);
  }

  /** Copies the root of an image into an empty directory. */
  async copy(image: string, directory: string): Promise<void> {
    const container = (await this.run('from', '--pull=never', ...this.#signatures, image)).trim();
    const mounted = (await this.run('mount', container)).trim();
    await output('cp', ['-a', '--', `${mounted}/.`, directory]);
    await this.run('umount', container);
    await this.run('rm', container);
  }

  run(command: string, ...args: readonly string[]): Promise<string> {
    return output('buildah', [...this.#global(command), ...args], { env: this.#env });
  }

  get #signatures(): readonly string[] {
    return ['--signature-policy', this.#policy];
  }

  /** What is mounted is counted in a directory of its own, because it is mounted in these namespaces alone. */
  #global(command: string): readonly string[] {
    const places = ['--root', this.#store, '--runroot', join(this.#scratch, 'run')];
    return [...places, '--storage-driver', 'overlay', command];
  }
}

async function unpack(directory: string): Promise<ImageConfig> {
  const scratch = mkdtempSync(join(tmpdir(), 'clawstore-image-'));
  const progress = (text: string): void => console.error(`image: ${text}`);
  try {
    const builder = new Builder(scratch);
    await builder.clean();
    const [tree, npm] = [await toolPath('debian-tree'), await toolPath('npm')];
    // One that was made anew may be another.
    const version = `${basename(dirname(tree)).replace(/[^A-Za-z0-9_.-]/g, '_')}-${Math.trunc(statSync(tree).mtimeMs)}`;
    const base = await builder.base(`${NAME}-base:${version}`, 'scratch', async (container) => {
      progress(`a base image of ${tree}`);
      await builder.run('add', '--quiet', container, tree, '/');
    });
    const node = await builder.base(`${NAME}-node:${version}-${process.version}`, base, async (container) => {
      progress(`a base image with Node ${process.version} and npm`);
      // As images of Node have it.
      const root = join(scratch, 'local');
      mkdirSync(join(root, 'lib/node_modules'), { recursive: true });
      mkdirSync(join(root, 'bin'));
      copyFileSync(process.execPath, join(root, 'bin/node'));
      cpSync(dirname(dirname(npm)), join(root, 'lib/node_modules/npm'), { recursive: true });
      symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'bin/npm'));
      await builder.run('add', '--quiet', container, root, '/usr/local');
    });
    // The npm registry may be behind a proxy that this machine trusts.
    const authorities = process.env['NODE_EXTRA_CA_CERTS'] || '/etc/ssl/certs/ca-certificates.crt';
    const secrets = existsSync(authorities) ? ['--secret', `id=ca,src=${authorities}`] : [];
    const args = [...secrets, '--build-arg', `BASE=${base}`, '--build-arg', `NODE=${node}`, '--tag', NAME];
    await builder.build(args, progress);
    await builder.copy(NAME, directory);
    const { OCIv1 } = JSON.parse(await builder.run('inspect', '--type', 'image', NAME)) as {
      readonly OCIv1: { readonly config: ImageConfig };
    };
    return OCIv1.config;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const [action, directory] = process.argv.slice(2);
  if (action !== 'unpack' || directory === undefined) throw new Error('usage: image.ts unpack DIR');
  mkdirSync(directory, { recursive: true });
  console.log(JSON.stringify(await unpack(resolve(directory))));
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    console.error(`image: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
