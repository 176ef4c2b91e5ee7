import { type Environment, Optional } from '@marcbachmann/cel-js';
import type { Duration } from '@marcbachmann/cel-js/evaluator';
import { goQuote } from '../go-format.ts';
import { CelError } from './errors.ts';
import { CelCidr, CelIp, CelUrl } from './network.ts';
import { CelQuantity } from './quantity.ts';

/**
 * The types that Kubernetes adds to CEL: quantities, URLs, addresses, networks and named formats
 * (apiserver: pkg/cel/library).
 */
export function registerKubernetes(env: Environment): void {
  registerQuantity(env);
  registerUrl(env);
  registerNetwork(env);
  registerFormats(env);
  registerTime(env);
}

function parsed<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw new CelError(message);
  return value;
}

function registerQuantity(env: Environment): void {
  const name = 'kubernetes.Quantity';
  const parse = (text: string) =>
    parsed(
      CelQuantity.parse(text),
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  const compare = (a: CelQuantity, b: CelQuantity) => a.compareTo(b);
  env.registerType(name, CelQuantity);
  env.registerFunction(`quantity(string): ${name}`, parse);
  env.registerFunction('isQuantity(string): bool', (text: string) => CelQuantity.parse(text) !== undefined);
  env.registerFunction(`${name}.compareTo(${name}): int`, compare);
  env.registerFunction(`${name}.isGreaterThan(${name}): bool`, (a: CelQuantity, b: CelQuantity) => compare(a, b) > 0n);
  env.registerFunction(`${name}.isLessThan(${name}): bool`, (a: CelQuantity, b: CelQuantity) => compare(a, b) < 0n);
  env.registerFunction(`sign(${name}): int`, (a: CelQuantity) => compare(a, CelQuantity.of(0n)));
  env.registerFunction(`${name}.isInteger(): bool`, (a: CelQuantity) => a.isInteger());
  env.registerFunction(`${name}.asInteger(): int`, (a: CelQuantity) => {
    if (!a.isInteger()) throw new CelError('cannot convert value to integer');
    return a.asInteger();
  });
  env.registerFunction(`${name}.asApproximateFloat(): double`, (a: CelQuantity) => a.asApproximateFloat());
  const add = (a: CelQuantity, b: CelQuantity) => new CelQuantity(a.nanos + b.nanos);
  const sub = (a: CelQuantity, b: CelQuantity) => new CelQuantity(a.nanos - b.nanos);
  env.registerFunction(`${name}.add(${name}): ${name}`, add);
  env.registerFunction(`${name}.sub(${name}): ${name}`, sub);
  env.registerFunction(`${name}.add(int): ${name}`, (a: CelQuantity, b: bigint) => add(a, CelQuantity.of(b)));
  env.registerFunction(`${name}.sub(int): ${name}`, (a: CelQuantity, b: bigint) => sub(a, CelQuantity.of(b)));
  env.registerOperator(`${name} == ${name}`, (a: CelQuantity, b: CelQuantity) => compare(a, b) === 0n);
}

function registerUrl(env: Environment): void {
  const name = 'kubernetes.URL';
  env.registerType(name, CelUrl);
  env.registerFunction(`url(string): ${name}`, (text: string) =>
    parsed(
      CelUrl.parse(text),
      `URL parse error during conversion from string: parse "${text}": invalid URI for request`,
    ),
  );
  env.registerFunction('isURL(string): bool', (text: string) => CelUrl.parse(text) !== undefined);
  env.registerFunction(`${name}.getScheme(): string`, (url: CelUrl) => url.scheme());
  env.registerFunction(`${name}.getHost(): string`, (url: CelUrl) => url.host());
  env.registerFunction(`${name}.getHostname(): string`, (url: CelUrl) => url.hostname());
  env.registerFunction(`${name}.getPort(): string`, (url: CelUrl) => url.port());
  env.registerFunction(`${name}.getEscapedPath(): string`, (url: CelUrl) => url.escapedPath());
  env.registerFunction(`${name}.getQuery(): map<string, list<string>>`, (url: CelUrl) => url.query());
  env.registerOperator(`${name} == ${name}`, (a: CelUrl, b: CelUrl) => a.text === b.text);
}

/** The receiver of `ip.isCanonical(text)`. */
class CelIps {
  readonly name = 'ip';
}

function registerNetwork(env: Environment): void {
  const parseIp = (text: string) => {
    const quoted = goQuote(text);
    const reason = `ParseAddr(${quoted}): unable to parse IP`;
    return parsed(CelIp.parse(text), `IP Address ${quoted} parse error during conversion from string: ${reason}`);
  };
  const parseCidr = (text: string) => {
    const head = 'network address parse error during conversion from string';
    const reason = text.includes('/') ? 'prefix length out of range' : "no '/'";
    return parsed(CelCidr.parse(text), `${head}: ${head}: netip.ParsePrefix(${goQuote(text)}): ${reason}`);
  };
  env.registerType('CelIps', CelIps);
  env.registerConstant('ip', 'CelIps', new CelIps());
  env.registerFunction(
    'CelIps.isCanonical(string): bool',
    (_: unknown, text: string) => parseIp(text).toString() === text,
  );
  env.registerType('net.IP', CelIp);
  env.registerType('net.CIDR', CelCidr);
  env.registerFunction('ip(string): net.IP', parseIp);
  env.registerFunction('isIP(string): bool', (text: string) => CelIp.parse(text) !== undefined);
  env.registerFunction('cidr(string): net.CIDR', parseCidr);
  env.registerFunction('isCIDR(string): bool', (text: string) => CelCidr.parse(text) !== undefined);
  env.registerFunction('string(net.IP): string', (ip: CelIp) => ip.toString());
  env.registerFunction('string(net.CIDR): string', (cidr: CelCidr) => cidr.toString());
  env.registerFunction('net.IP.family(): int', (ip: CelIp) => BigInt(ip.family));
  env.registerFunction('net.IP.isUnspecified(): bool', (ip: CelIp) => ip.isUnspecified());
  env.registerFunction('net.IP.isLoopback(): bool', (ip: CelIp) => ip.isLoopback());
  env.registerFunction('net.IP.isLinkLocalUnicast(): bool', (ip: CelIp) => ip.isLinkLocalUnicast());
  env.registerFunction('net.IP.isLinkLocalMulticast(): bool', (ip: CelIp) => ip.isLinkLocalMulticast());
  env.registerFunction('net.IP.isGlobalUnicast(): bool', (ip: CelIp) => ip.isGlobalUnicast());
  env.registerOperator('net.IP == net.IP', (a: CelIp, b: CelIp) => a.equals(b));
  env.registerFunction('net.CIDR.containsIP(string): bool', (c: CelCidr, ip: string) => c.containsIp(parseIp(ip)));
  env.registerFunction('net.CIDR.containsIP(net.IP): bool', (c: CelCidr, ip: CelIp) => c.containsIp(ip));
  env.registerFunction('net.CIDR.containsCIDR(string): bool', (c: CelCidr, o: string) => c.containsCidr(parseCidr(o)));
  env.registerFunction('net.CIDR.containsCIDR(net.CIDR): bool', (c: CelCidr, o: CelCidr) => c.containsCidr(o));
  env.registerFunction('net.CIDR.ip(): net.IP', (c: CelCidr) => c.address);
  env.registerFunction('net.CIDR.prefixLength(): int', (c: CelCidr) => BigInt(c.prefix));
  env.registerFunction('net.CIDR.masked(): net.CIDR', (c: CelCidr) => c.masked());
  env.registerOperator('net.CIDR == net.CIDR', (a: CelCidr, b: CelCidr) => a.toString() === b.toString());
}

/** A format of `format.NAME()`: its violations, as apimachinery words them. */
class CelFormat {
  readonly check: (text: string) => string[];

  constructor(check: (text: string) => string[]) {
    this.check = check;
  }
}

/** The receiver of `format.NAME()`. */
class CelFormats {
  readonly name = 'format';
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const FORMATS: Readonly<Record<string, (text: string) => string[]>> = {
  dns1123Label: pattern(
    new RegExp(`^${LABEL}$`),
    63,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  ),
  dns1123Subdomain: pattern(
    new RegExp(`^${LABEL}(\\.${LABEL})*$`),
    253,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  ),
  dns1035Label: pattern(
    /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
  ),
  labelValue: pattern(
    /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
    63,
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
  ),
};

function pattern(form: RegExp, max: number, message: string): (text: string) => string[] {
  return (text) => [
    ...(text.length > max ? [`must be no more than ${max} bytes`] : []),
    ...(text.length <= max && form.test(text) ? [] : [message]),
  ];
}

function registerFormats(env: Environment): void {
  env.registerType('kubernetes.NamedFormat', CelFormat);
  env.registerType('CelFormats', CelFormats);
  env.registerConstant('format', 'CelFormats', new CelFormats());
  const known = new Map(Object.entries(FORMATS).map(([name, check]) => [name, new CelFormat(check)] as const));
  for (const [name, value] of known) {
    env.registerFunction(`CelFormats.${name}(): kubernetes.NamedFormat`, () => value);
  }
  env.registerFunction('CelFormats.named(string): optional<kubernetes.NamedFormat>', (_: unknown, name: string) =>
    Optional.of(known.get(name)),
  );
  env.registerFunction(
    'kubernetes.NamedFormat.validate(string): optional<list<string>>',
    (format: CelFormat, text: string) => {
      const violations = format.check(text);
      return violations.length === 0 ? Optional.none() : Optional.of(violations);
    },
  );
}

/** Conversions that the library lacks. */
function registerTime(env: Environment): void {
  const [time, span] = ['google.protobuf.Timestamp', 'google.protobuf.Duration'];
  env.registerFunction(`string(${time}): string`, (date: Date) => date.toISOString().replace(/\.?0+Z$/, 'Z'));
  env.registerFunction(`string(${span}): string`, (duration: Duration) => duration.toString());
  env.registerFunction(`int(${time}): int`, (date: Date) => BigInt(Math.floor(date.getTime() / 1000)));
  env.registerFunction(`timestamp(${time}): ${time}`, (date: Date) => date);
  env.registerFunction(`duration(${span}): ${span}`, (duration: Duration) => duration);
}
