import { isIPv4, isIPv6 } from 'node:net';

/** An IP address inside CEL rules (Kubernetes: `ip()`), as 4 or 16 bytes. */
export class CelIp {
  readonly bytes: readonly number[];

  constructor(bytes: readonly number[]) {
    this.bytes = bytes;
  }

  /** Parses an address; zones and IPv4-mapped IPv6 addresses are refused, as in Kubernetes. */
  static parse(text: string): CelIp | undefined {
    if (isIPv4(text)) return new CelIp(text.split('.').map(Number));
    if (!isIPv6(text) || text.includes('%')) return undefined;
    const bytes = ipv6Bytes(text);
    const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
    return mapped ? undefined : new CelIp(bytes);
  }

  get family(): 4 | 6 {
    return this.bytes.length === 4 ? 4 : 6;
  }

  equals(other: CelIp): boolean {
    return this.toString() === other.toString();
  }

  isUnspecified(): boolean {
    return this.bytes.every((byte) => byte === 0);
  }

  isLoopback(): boolean {
    return this.family === 4 ? this.bytes[0] === 127 : this.toString() === '::1';
  }

  isLinkLocalUnicast(): boolean {
    const [a = 0, b = 0] = this.bytes;
    return this.family === 4 ? a === 169 && b === 254 : a === 0xfe && (b & 0xc0) === 0x80;
  }

  isLinkLocalMulticast(): boolean {
    const [a = 0, b = 0, c = 0] = this.bytes;
    return this.family === 4 ? a === 224 && b === 0 && c === 0 : a === 0xff && (b & 0x0f) === 0x02;
  }

  isGlobalUnicast(): boolean {
    const [a = 0] = this.bytes;
    const multicast = this.family === 4 ? a >= 224 && a < 240 : a === 0xff;
    const broadcast = this.family === 4 && this.bytes.every((byte) => byte === 255);
    return !broadcast && !this.isUnspecified() && !this.isLoopback() && !multicast && !this.isLinkLocalUnicast();
  }

  /** The canonical form (RFC 5952). */
  toString(): string {
    if (this.family === 4) return this.bytes.join('.');
    const groups = Array.from({ length: 8 }, (_, i) => ((this.bytes[2 * i] ?? 0) << 8) | (this.bytes[2 * i + 1] ?? 0));
    const { start, length } = longestZeros(groups);
    const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
    if (length < 2) return hex(groups);
    return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
  }
}

function ipv6Bytes(text: string): number[] {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  let body = text;
  if (dotted !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = dotted.slice(1).map(Number);
    body = `${text.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = '', tail] = body.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (end < groups.length && groups[end] === 0) end++;
    if (end - i > best.length) best = { start: i, length: end - i };
    if (end > i) i = end;
  }
  return best;
}

/** A network inside CEL rules (Kubernetes: `cidr()`). */
export class CelCidr {
  readonly address: CelIp;
  readonly prefix: number;

  constructor(address: CelIp, prefix: number) {
    this.address = address;
    this.prefix = prefix;
  }

  static parse(text: string): CelCidr | undefined {
    const match = /^(.+)\/(0|[1-9]\d{0,2})$/.exec(text);
    const address = match === null ? undefined : CelIp.parse(match[1] ?? '');
    if (match === null || address === undefined) return undefined;
    const prefix = Number(match[2]);
    return prefix <= address.bytes.length * 8 ? new CelCidr(address, prefix) : undefined;
  }

  containsIp(ip: CelIp): boolean {
    return ip.family === this.address.family && this.#network(ip) === this.#network(this.address);
  }

  containsCidr(other: CelCidr): boolean {
    return other.prefix >= this.prefix && this.containsIp(other.address);
  }

  masked(): CelCidr {
    const kept = this.address.bytes.map((byte, i) => byte & this.#mask(i));
    return new CelCidr(new CelIp(kept), this.prefix);
  }

  toString(): string {
    return `${this.address.toString()}/${this.prefix}`;
  }

  #network(ip: CelIp): string {
    return ip.bytes.map((byte, i) => byte & this.#mask(i)).join('.');
  }

  #mask(index: number): number {
    const bits = Math.min(8, Math.max(0, this.prefix - index * 8));
    return (0xff << (8 - bits)) & 0xff;
  }
}

/** A URL inside CEL rules (Kubernetes: `url()`): absolute, or an absolute path. */
export class CelUrl {
  readonly text: string;
  readonly #parsed: URL;
  readonly #absolute: boolean;

  constructor(text: string, parsed: URL, absolute: boolean) {
    this.text = text;
    this.#parsed = parsed;
    this.#absolute = absolute;
  }

  static parse(text: string): CelUrl | undefined {
    if (text === '' || /[\p{Cc} ]/u.test(text)) return undefined;
    const absolute = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/?/.test(text);
    if (!absolute && !text.startsWith('/')) return undefined;
    const parsed = URL.parse(absolute ? text : `http://host${text}`);
    return parsed === null ? undefined : new CelUrl(text, parsed, absolute);
  }

  scheme(): string {
    return this.#absolute ? this.#parsed.protocol.slice(0, -1) : '';
  }

  /** Host and port as written. */
  host(): string {
    const authority = /^[^:]*:\/\/([^/?#]*)/.exec(this.text)?.[1] ?? '';
    return this.#absolute ? authority.slice(authority.lastIndexOf('@') + 1) : '';
  }

  hostname(): string {
    return this.host()
      .replace(/:\d*$/, '')
      .replace(/^\[(.*)\]$/, '$1');
  }

  port(): string {
    return /:(\d+)$/.exec(this.host())?.[1] ?? '';
  }

  /** The path with its escapes as written. */
  escapedPath(): string {
    const path = this.#absolute ? this.text.replace(/^[^:]*:(\/\/[^/?#]*)?/, '') : this.text;
    return path.replace(/[?#].*$/s, '');
  }

  query(): Map<string, string[]> {
    const query = new Map<string, string[]>();
    for (const [key, value] of this.#parsed.searchParams) query.set(key, [...(query.get(key) ?? []), value]);
    return query;
  }
}
