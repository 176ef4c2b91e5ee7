/** What exit statuses and last words of restic mean. Pure. 0.14 ends with 1 for everything, so words count too. */
import { BackupError, type BackupErrorCode } from '../backup-error.ts';

/** restic's own (from 0.17). */
const BY_STATUS: Readonly<Record<number, BackupErrorCode>> = {
  10: 'NoRepository',
  11: 'Locked',
  12: 'WrongPassword',
  130: 'Interrupted',
  137: 'Interrupted',
  143: 'Interrupted',
};

/** In this order: what comes first says more. */
const BY_WORDS: readonly (readonly [RegExp, BackupErrorCode])[] = [
  [/wrong password or no key found/, 'WrongPassword'],
  [/repository is already locked/, 'Locked'],
  [/no space left on device|disk quota exceeded|QuotaExceeded/i, 'NoSpace'],
  [/InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|no credentials/i, 'CredentialsRejected'],
  [/bucket does not exist|NoSuchBucket/i, 'NoBucket'],
  [/RequestTimeTooSkewed|difference between the request time/i, 'ClockSkew'],
  [/x509: |tls: failed to verify/, 'CertificateNotTrusted'],
  [/no such host|server misbehaving/, 'NameNotResolved'],
  [/AccessDenied|Access Denied|permission denied|read-only file system|operation not permitted/i, 'AccessDenied'],
  [
    /connection refused|connection reset|i\/o timeout|network is unreachable|no route to host|unexpected EOF/,
    'Unreachable',
  ],
  [/TLS handshake timeout|context deadline exceeded|broken pipe|use of closed network|: EOF/, 'Unreachable'],
  [
    /InternalError|SlowDown|ServiceUnavailable|Service Unavailable|reduce your request rate|\b50[0-4]\b/i,
    'ServerError',
  ],
  [/Is there a repository at the following location|repository does not exist/, 'NoRepository'],
  // A whole ID is believed until it is looked for.
  [/<snapshot\/[0-9a-f]+>.*(?:no such file|does not exist|NoSuchKey|not found)/i, 'NotFound'],
  [/no matching ID found|no snapshot found|not found in snapshot|unknown snapshot|invalid id/i, 'NotFound'],
  [
    /ciphertext verification failed|repository contains errors|does not match, want|not found in repository|invalid data returned|unable to load index|unexpected pack id/i,
    'Damaged',
  ],
  // What `prune` says before it changes anything.
  [/packs from index missing in repo|index is not complete|pack size does not match calculated size/i, 'Damaged'],
];

const SENTENCES: Partial<Record<BackupErrorCode, string>> = {
  NoRepository: 'there is no repository at the location',
  Locked: 'the repository is locked by somebody else',
  WrongPassword: 'no key of the repository opens with the password',
  Interrupted: 'the engine was ended from outside',
  NotFound: 'there is no such snapshot, or no such path in it',
  Damaged: 'the repository is damaged',
};

const WORDS_LENGTH = 600;

/** @param words Its last complaints, free of secrets. */
export function failureOf(status: number, words: string): BackupError {
  const code = BY_STATUS[status] ?? BY_WORDS.find(([pattern]) => pattern.test(words))?.[1] ?? 'EngineFailed';
  const sentence = SENTENCES[code] ?? 'the engine failed';
  const said = words
    .trim()
    .replaceAll(/\s*\n\s*/g, '; ')
    .slice(0, WORDS_LENGTH);
  return new BackupError(code, said === '' ? `${sentence} (status ${status})` : `${sentence}: ${said}`);
}

/** Takes secrets out of a text, whoever put them in. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  let clean = text.replaceAll(/(\/\/)[^/\s:@]+:[^/\s@]+@/g, '$1***@');
  for (const secret of secrets) {
    if (secret !== '') clean = clean.replaceAll(secret, '***');
  }
  return clean;
}
