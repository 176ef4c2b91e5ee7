import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the package, in a checkout and in a bundle alike: where `crds/` and package.json are. */
export function packageRoot(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'crds')) || !existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`the package is incomplete: no crds/ above ${import.meta.dirname}`);
    folder = parent;
  }
  return folder;
}

/** The CRDs that an API server of ours serves: in a bundle those that lie beside it, made by scripts/build.ts. */
export function crdsDirectory(): string {
  return join(import.meta.filename.endsWith('.js') ? import.meta.dirname : packageRoot(), 'crds');
}
