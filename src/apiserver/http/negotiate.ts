import { notAcceptable } from './errors.ts';

/** The shape in which a client wants objects. */
export type Shape = 'object' | 'Table' | 'PartialObjectMetadata';

/** What `Accept` asks for and we have. */
export interface Negotiated {
  readonly shape: Shape;
  /** Of the discovery documents. */
  readonly discovery: 'plain' | 'v2' | 'v2beta1';
}

const PLAIN: Negotiated = { shape: 'object', discovery: 'plain' };
const cache = new Map<string, Negotiated | undefined>();
const MAX_CACHED = 200;

/**
 * Picks the first media type of an `Accept` header that we can answer: JSON, as Table, PartialObjectMetadata(List) or
 * aggregated discovery. Throws StatusError (406) when there is none.
 */
export function negotiate(accept: string | undefined): Negotiated {
  if (accept === undefined || accept === '' || accept === '*/*' || accept === 'application/json') return PLAIN;
  let result = cache.get(accept);
  if (result === undefined && !cache.has(accept)) {
    result = pick(accept);
    if (cache.size < MAX_CACHED) cache.set(accept, result);
  }
  if (result === undefined) {
    throw notAcceptable(['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']);
  }
  return result;
}

/** Aggregated discovery goes before everything else that a client would take as well. */
function pick(accept: string): Negotiated | undefined {
  const picked = pickFirst(accept);
  const version = /;g=apidiscovery\.k8s\.io;v=(v2|v2beta1);as=APIGroupDiscoveryList(?:,|$)/.exec(accept)?.[1];
  return picked === undefined || version === undefined || picked.discovery !== 'plain'
    ? picked
    : { ...picked, discovery: version as 'v2' | 'v2beta1' };
}

function pickFirst(accept: string): Negotiated | undefined {
  for (const part of accept.split(',')) {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    // YAML is made of the JSON in the end.
    if (!['application/json', 'application/yaml', 'application/*', '*/*'].includes(type.toLowerCase())) continue;
    const named = new Map(parameters.map((parameter) => parameter.split('=', 2) as [string, string]));
    if (named.get('stream') !== undefined && named.get('stream') !== 'watch') continue;
    const as = named.get('as');
    if (as === undefined) return PLAIN;
    const group = named.get('g');
    const version = named.get('v');
    if (as === 'Table' && group === 'meta.k8s.io' && version === 'v1') return { ...PLAIN, shape: 'Table' };
    if (
      (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') &&
      group === 'meta.k8s.io' &&
      version === 'v1'
    ) {
      return { ...PLAIN, shape: 'PartialObjectMetadata' };
    }
    if (
      as === 'APIGroupDiscoveryList' &&
      group === 'apidiscovery.k8s.io' &&
      (version === 'v2' || version === 'v2beta1')
    ) {
      return { ...PLAIN, discovery: version };
    }
  }
  return undefined;
}
