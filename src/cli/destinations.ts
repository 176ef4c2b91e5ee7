/** `destinations` of the config file: URL → how a repository there is reached, and with which Secrets. */
import type { DestinationDefaults } from '../api/destination-defaults.ts';
import { isSubdomain } from '../api/names.ts';
import { parseDestination } from '../api/repository-url.ts';
import { CliError, ExitCode } from './exit-code.ts';

const TEXTS = ['endpoint', 'region'] as const;
const NAMES = ['credentialsSecret', 'caBundle', 'keySecret', 'volumeClass'] as const;
const FIELDS: readonly string[] = [...TEXTS, 'forcePathStyle', ...NAMES];
const OF_S3: readonly string[] = ['endpoint', 'region', 'forcePathStyle', 'credentialsSecret', 'caBundle'];

/** @throws CliError that names the setting. */
export function parseDestinations(value: unknown): readonly DestinationDefaults[] {
  if (value === undefined || value === null) return [];
  return Object.entries(mapping('destinations', value)).map(([url, fields]) => parseOne(url, fields));
}

function parseOne(url: string, value: unknown): DestinationDefaults {
  const destination = parseDestination(url);
  // The URL itself may hold a password by mistake; the problem does not repeat it.
  if (!destination.ok) throw usage('destinations', `one of the URLs ${destination.problem}`);
  if (url.includes('?')) throw usage(`destinations["${url}"]`, 'must not have a part after ?; there are fields for it');
  const fields = mapping(`destinations["${url}"]`, value ?? {});
  const at = (field: string): string => `destinations["${url}"].${field}`;
  for (const [field, given] of Object.entries(fields)) {
    if (!FIELDS.includes(field)) throw usage(at(field), `is unknown (known: ${FIELDS.join(', ')})`);
    if (OF_S3.includes(field) && destination.source.s3 === undefined) throw usage(at(field), 'is for s3:// alone');
    if (field === 'forcePathStyle') {
      if (typeof given !== 'boolean') throw usage(at(field), 'must be true or false');
    } else if (typeof given !== 'string' || given === '') throw usage(at(field), 'must be text');
    else if (NAMES.some((name) => name === field) && !isSubdomain(given))
      throw usage(at(field), 'is not a DNS-1123 name');
  }
  const { endpoint, region } = fields as Partial<DestinationDefaults>;
  const query = new URLSearchParams({
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
  });
  if (query.size > 0) {
    const reached = parseDestination(`${url}?${query}`);
    if (!reached.ok) throw usage(`destinations["${url}"]`, reached.problem);
  }
  return { url, ...fields };
}

function mapping(name: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw usage(name, 'must be a mapping');
}

function usage(name: string, problem: string): CliError {
  return new CliError(ExitCode.usage, `config file: ${name} ${problem}`);
}
