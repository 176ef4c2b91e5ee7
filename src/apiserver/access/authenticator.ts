import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { User } from '../registry/request.ts';
import { AUTHENTICATED_GROUP } from './roles.ts';

/** A bearer token, by its hash, and whose it is. */
export interface KnownToken {
  readonly hash: Buffer;
  readonly user: User;
}

/**
 * Gives the tokens that count: the same list as long as none has changed. It may be a moment old, unless it has to be
 * `fresh`.
 */
export type TokenSource = (fresh: boolean) => readonly KnownToken[];

/**
 * Tells users by client certificates of our authority (CN is the name, each O a group, as in Kubernetes) and by bearer
 * tokens. Of tokens only hashes are compared, so that no time tells how much of a guess was right.
 */
export class Authenticator {
  readonly #tokens: TokenSource;
  #known: readonly KnownToken[] = [];
  readonly #recent = new Map<string, User>();
  readonly #certified = new WeakMap<Socket, { readonly user: User | undefined }>();

  constructor(tokens: TokenSource) {
    this.#tokens = tokens;
  }

  /** Who sends this request; undefined for nobody that we know. */
  user(request: IncomingMessage): User | undefined {
    return this.#byCertificate(request.socket) ?? this.#byToken(request.headers.authorization);
  }

  #byCertificate(socket: Socket): User | undefined {
    let found = this.#certified.get(socket);
    if (found === undefined) {
      found = { user: socket instanceof TLSSocket ? userOfCertificate(socket) : undefined };
      this.#certified.set(socket, found);
    }
    return found.user;
  }

  #byToken(header: string | undefined): User | undefined {
    if (header === undefined) return undefined;
    this.#use(this.#tokens(false));
    const recent = this.#recent.get(header);
    if (recent !== undefined) return recent;
    const match = /^Bearer +(\S+)$/i.exec(header);
    if (match === null) return undefined;
    const hash = sha256(match[1] as string);
    const find = (): KnownToken | undefined => this.#known.find((one) => timingSafeEqual(one.hash, hash));
    let found = find();
    if (found === undefined) {
      // It may have been issued just now.
      this.#use(this.#tokens(true));
      found = find();
    }
    if (found === undefined) return undefined;
    const user = { ...found.user, groups: [...found.user.groups, AUTHENTICATED_GROUP] };
    this.#recent.set(header, user);
    return user;
  }

  #use(known: readonly KnownToken[]): void {
    if (known === this.#known) return;
    this.#known = known;
    this.#recent.clear();
  }
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** The user of the certificate that a connection has shown, when our authority has signed it for a client. */
function userOfCertificate(socket: TLSSocket): User | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  // Without one there is an empty object.
  const { CN: name, O: organizations } = certificate.subject ?? {};
  if (typeof name !== 'string' || name === '') return undefined;
  const groups = organizations === undefined ? [] : Array.isArray(organizations) ? organizations : [organizations];
  const id = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    name,
    groups: [...groups, AUTHENTICATED_GROUP],
    // The name that Kubernetes gives it.
    extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${id}`] },
  };
}
