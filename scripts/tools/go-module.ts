import { copyFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { GoSource } from './catalogue.ts';
import { follow, output } from './run.ts';

const checkout = join(import.meta.dirname, '..', '..');
const REPORT_EVERY_MS = 15_000;

/** Builds the commands of a Go module into `folder` with the compiler `go`, reports progress, returns the version. */
export async function buildGoModule(
  source: GoSource,
  go: string,
  folder: string,
  progress: (text: string) => void,
): Promise<string> {
  const flags = Object.entries(source.stamp).map(([name, value]) => `-X ${name}=${value}`);
  const start = Date.now();
  let modules = 0;
  let packages = 0;
  const report = (): void => {
    const seconds = Math.round((Date.now() - start) / 1000);
    progress(`building ${source.version}: ${seconds} s, ${modules} modules fetched, ${packages} packages compiled`);
  };
  const place = {
    cwd: join(checkout, source.module),
    env: { ...process.env, GOFLAGS: '-mod=readonly', GOWORK: 'off', GOTOOLCHAIN: 'local', CGO_ENABLED: '0' },
  };
  progress(`building ${source.version} from its Go module (${source.cost})`);
  const timer = setInterval(report, REPORT_EVERY_MS);
  try {
    await follow(
      go,
      [
        'build',
        '-v',
        '-trimpath',
        '-buildvcs=false',
        '-ldflags',
        ['-s', '-w', ...flags].join(' '),
        '-o',
        `${folder}/`,
        ...source.commands,
      ],
      place,
      (line) => {
        if (line.startsWith('go: downloading')) modules += 1;
        else packages += 1;
      },
    );
  } finally {
    clearInterval(timer);
  }
  report();
  for (const { module, path } of source.files ?? []) {
    const where = (await output(go, ['list', '-m', '-f', '{{.Dir}}', module], place)).trim();
    copyFileSync(join(where, path), join(folder, basename(path)));
  }
  return source.version;
}
