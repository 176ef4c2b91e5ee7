import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Bundle } from './catalogue.ts';

const checkout = join(import.meta.dirname, '..', '..');

/** Where the test servers live between runs and between checkouts: outside of all of them. */
export function cacheRoot(): string {
  const { CLAWSTORE_CACHE, XDG_CACHE_HOME } = process.env;
  return CLAWSTORE_CACHE || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'clawstore');
}

/**
 * Names what a bundle is made of. The Go compiler's version is left out on purpose: the same sources give the same
 * server, and a machine whose Go went away still finds what it built.
 */
function inputsHash(bundle: Bundle): string {
  const { cost: _, ...inputs } = { cost: '', ...bundle.source };
  const hash = createHash('sha256').update(JSON.stringify(inputs)).update(process.arch);
  if (bundle.source.kind === 'go') {
    const folder = join(checkout, bundle.source.module);
    const sources = readdirSync(folder).filter((name) => name.endsWith('.go'));
    for (const file of ['go.mod', 'go.sum', ...sources.sort()]) hash.update(readFileSync(join(folder, file)));
  }
  if (bundle.source.kind === 'npm')
    hash.update(readFileSync(join(checkout, bundle.source.folder, 'package-lock.json')));
  return hash.digest('hex').slice(0, 12);
}

/** The folder of a bundle that was completed before, newest version first; undefined if there is none. */
export function findBundle(bundle: Bundle): string | undefined {
  const folder = join(cacheRoot(), bundle.name);
  if (!existsSync(folder)) return undefined;
  const suffix = `-${inputsHash(bundle)}`;
  const found = readdirSync(folder)
    .filter((name) => name.endsWith(suffix) && !name.startsWith('.'))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  return found[0] === undefined ? undefined : join(folder, found[0]);
}

/**
 * Makes a bundle's folder: `fill` writes into a temporary one beside it and says the version; the rename is what makes
 * it visible, so a build that is killed leaves nothing that looks finished. The caller holds the bundle's lock.
 */
export async function makeBundle(bundle: Bundle, fill: (folder: string) => Promise<string>): Promise<string> {
  const parent = join(cacheRoot(), bundle.name);
  mkdirSync(parent, { recursive: true });
  // Whoever makes a bundle holds its lock, so what is half made here was left by a build that was killed.
  for (const name of readdirSync(parent)) {
    if (name.startsWith('.making-')) rmSync(join(parent, name), { recursive: true });
  }
  const temporary = mkdtempSync(join(parent, '.making-'));
  try {
    const version = (await fill(temporary)).replace(/[^A-Za-z0-9.+~-]/g, '_');
    const target = join(parent, `${version}-${inputsHash(bundle)}`);
    rmSync(target, { recursive: true, force: true });
    renameSync(temporary, target);
    return target;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** The file that is locked while a bundle is being made. */
export function lockFile(bundle: Bundle): string {
  mkdirSync(cacheRoot(), { recursive: true });
  return join(cacheRoot(), `.lock-${bundle.name}`);
}
