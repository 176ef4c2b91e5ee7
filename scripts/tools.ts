/**
 * Finds the servers and tools that the tests run against, and brings what is missing into a cache outside the checkout.
 *
 *   node scripts/tools.ts ensure [NAME…]   make sure they are there (all that every test run needs)
 *   node scripts/tools.ts env [NAME…]      the same, then print `export NAME=PATH` lines for a shell
 *   node scripts/tools.ts path NAME        the same for one, print its path
 *
 * Looked for in this order: the tool's environment variable (KUBE_APISERVER, ETCD, KUBECTL …), KUBEBUILDER_ASSETS,
 * PATH (each only if new enough), the cache; else it is built or unpacked into the cache.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { findBundle, lockFile, makeBundle } from './tools/cache.ts';
import { type Bundle, TOOLS, type Tool, type ToolName } from './tools/catalogue.ts';
import { unpackDebs } from './tools/deb.ts';
import { makeDebianTree } from './tools/debian-tree.ts';
import { buildGoModule } from './tools/go-module.ts';
import { installNpmPackages } from './tools/npm-package.ts';
import { output } from './tools/run.ts';

export type { ToolName } from './tools/catalogue.ts';

const found = new Map<ToolName, string>();

/**
 * Path of a tool that is new enough; provides it first where it is missing (minutes for kube-apiserver, with progress
 * on stderr). @throws Error that says what could not be had and which environment variable would help.
 */
export async function toolPath(name: ToolName): Promise<string> {
  const known = found.get(name);
  if (known !== undefined) return known;
  const tool = describe(name);
  const path = (await given(tool)) ?? (await provided(tool));
  found.set(name, path);
  return path;
}

/** What must be in the environment of a tool besides its path: where its shared libraries or its Node are. */
export async function toolRuntime(name: ToolName): Promise<Readonly<Record<string, string>>> {
  return runtimeOf(describe(name), await toolPath(name));
}

/** First line that the tool says about its version; the path of what is no program. */
export async function toolVersion(name: ToolName): Promise<string> {
  const { versionArgs } = describe(name);
  const path = await toolPath(name);
  if (versionArgs === undefined) return path;
  const env = { ...process.env, ...(await toolRuntime(name)) };
  const said = await output(path, versionArgs, { timeoutMs: 60_000, env });
  return said.trim().split('\n')[0] ?? '';
}

/** What a test run needs from the environment, as name → path; for child processes that must not search again. */
export async function toolEnvironment(names: readonly ToolName[]): Promise<Readonly<Record<string, string>>> {
  const result: Record<string, string> = {};
  for (const name of names) result[describe(name).env] = await toolPath(name);
  return result;
}

function describe(name: string): Tool {
  const tool = TOOLS.find((candidate) => candidate.name === name);
  if (tool === undefined) throw new Error(`no tool ${name}: there are ${TOOLS.map((t) => t.name).join(', ')}`);
  return tool;
}

/** One that the machine already has. A variable that names something unusable is an error, never passed over. */
async function given(tool: Tool): Promise<string | undefined> {
  const named = process.env[tool.env];
  if (named !== undefined && named !== '') {
    if (await newEnough(tool, named)) return named;
    throw new Error(`${tool.env}=${named} does not run or is older than ${(tool.minimum ?? []).join('.')}`);
  }
  if (!tool.fromPath) return undefined;
  const folders = [
    process.env['KUBEBUILDER_ASSETS'],
    ...(process.env['PATH'] ?? '').split(delimiter),
    '/usr/local/go/bin',
  ];
  for (const folder of folders) {
    if (folder === undefined || folder === '') continue;
    const path = join(folder, tool.name);
    if (isExecutable(path) && (await newEnough(tool, path))) return path;
  }
  return undefined;
}

async function newEnough(tool: Tool, path: string): Promise<boolean> {
  if (tool.versionArgs === undefined) return existsSync(path);
  const env = { ...process.env, ...runtimeOf(tool, path) };
  const said = await output(path, tool.versionArgs, { timeoutMs: 60_000, env }).catch(() => undefined);
  if (said === undefined || tool.minimum === undefined) return said !== undefined;
  const match = /(\d+)\.(\d+)/.exec(said);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > tool.minimum[0] || (major === tool.minimum[0] && minor >= tool.minimum[1]);
}

/** Libraries lie beside a tool that was unpacked; one of the system finds its own. Node is the one that runs this. */
function runtimeOf({ libraries = [], file, bundle }: Tool, path: string): Readonly<Record<string, string>> {
  if (bundle.source.kind === 'npm') {
    return { PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter) };
  }
  if (libraries.length === 0 || !path.endsWith(`/${file}`)) return {};
  const root = path.slice(0, -file.length);
  return { LD_LIBRARY_PATH: libraries.map((folder) => join(root, folder)).join(delimiter) };
}

async function provided(tool: Tool): Promise<string> {
  return join(findBundle(tool.bundle) ?? makeLocked(tool), tool.file);
}

/** Makes the bundle in a child that holds the lock: flock(1) lets go of it however the child ends. */
function makeLocked(tool: Tool): string {
  const self = import.meta.filename;
  const args = ['--exclusive', lockFile(tool.bundle), process.execPath, self, 'make', tool.name];
  const result = spawnSync('flock', args, { stdio: ['ignore', 2, 2] });
  const folder = findBundle(tool.bundle);
  if (result.status !== 0 || folder === undefined) {
    throw new Error(`${tool.name} could not be provided (above); set ${tool.env} to the path of one`);
  }
  return folder;
}

async function make(bundle: Bundle): Promise<void> {
  if (findBundle(bundle) !== undefined) return; // another process made it while this one waited for the lock
  const progress = (text: string): void => console.error(`tools: ${bundle.name}: ${text}`);
  const start = Date.now();
  const { source } = bundle;
  await makeBundle(bundle, async (folder) => {
    const version = await provide(source, folder, progress);
    for (const tool of TOOLS.filter((candidate) => candidate.bundle === bundle)) {
      if (await newEnough(tool, join(folder, tool.file))) continue;
      throw new Error(`${tool.name} ${version} does not run on this machine or is too old`);
    }
    return version;
  });
  progress(`ready after ${((Date.now() - start) / 1000).toFixed(1)} s`);
}

async function provide(source: Bundle['source'], folder: string, progress: (text: string) => void): Promise<string> {
  switch (source.kind) {
    case 'deb':
      return await unpackDebs(source, folder, progress);
    case 'npm':
      return await installNpmPackages(source, folder, progress);
    case 'tree':
      return await makeDebianTree(source, await toolPath('mmdebstrap'), folder, progress);
    case 'go':
      return await buildGoModule(source, await toolPath('go'), folder, progress);
  }
}

function isExecutable(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const [action = 'ensure', ...rest] = process.argv.slice(2);
  const names = (rest.length > 0 ? rest : TOOLS.filter((tool) => tool.always).map((tool) => tool.name)).map(
    (name) => describe(name).name,
  );
  switch (action) {
    case 'ensure':
      for (const name of names) console.log(`tools: ${name}: ${await toolVersion(name)}`);
      return;
    case 'env':
      for (const [name, path] of Object.entries(await toolEnvironment(names))) console.log(`export ${name}='${path}'`);
      return;
    case 'path':
      for (const name of names) console.log(await toolPath(name));
      return;
    case 'make':
      for (const name of names) await make(describe(name).bundle);
      return;
    default:
      throw new Error(`no action ${action}: ensure, env, path`);
  }
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    console.error(`tools: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
