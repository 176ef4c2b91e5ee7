/**
 * Keeps secrets out of logs, statuses and events. A pattern can only catch what looks like a secret; code that knows
 * that it holds one must not put it into a text in the first place.
 */

const REPLACED = '[redacted]';

/** What is replaced in every text, in this order. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // Of a URL only scheme, host and port stay: user info, paths (web hooks) and queries (signed URLs) carry secrets.
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/)(?:[^\s/@"'<>]*@)?([^\s/?#"'<>@,;)\]]+)[^\s"'<>,;)\]]*/gi, '$1$2'],
  [/\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}/gi, `$1 ${REPLACED}`],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REPLACED],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, REPLACED],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, REPLACED],
  [
    /\b((?:[a-z]+[_-])*(?:password|passwd|secret|token|access[_-]?key(?:[_-]?id)?|api[_-]?key|credential|signature))(["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s,;&"']+)/gi,
    `$1$2${REPLACED}`,
  ],
];

/** Returns the text without URLs' secret-bearing parts, tokens, keys and passwords. */
export function cleanText(text: string): string {
  let cleaned = text;
  for (const [pattern, replacement] of PATTERNS) cleaned = cleaned.replace(pattern, replacement);
  return cleaned;
}

/** Names of fields whose values are never logged, at any depth that pino's redaction reaches. */
export const SECRET_FIELDS: readonly string[] = [
  'token',
  'password',
  'secret',
  'authorization',
  'Authorization',
  'accessKey',
  'secretKey',
  'secretAccessKey',
  'clientKey',
  'stringData',
];
