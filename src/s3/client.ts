/** Clients of S3 servers. The SDK is loaded with the first location that needs it. */
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3Location } from './location.ts';
import type * as sdkModule from './sdk.ts';

export type Sdk = typeof sdkModule;

const CONNECT_MS = 2_000;
/** How often a request is tried. */
export const ATTEMPTS = 2;

let loading: Promise<Sdk> | undefined;

export function loadSdk(): Promise<Sdk> {
  loading ??= import('./sdk.ts');
  return loading;
}

/** @param requestMs Time for one request, in milliseconds. The caller destroys the client. */
export function createClient(sdk: Sdk, location: S3Location, requestMs: number): S3Client {
  const { endpoint, region, forcePathStyle, credentials, caBundle } = location;
  const checksums = location.checksums === 'WhenRequired' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
  return new sdk.S3Client({
    region,
    forcePathStyle,
    maxAttempts: ATTEMPTS,
    requestChecksumCalculation: checksums,
    responseChecksumValidation: checksums,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
      ...(caBundle === undefined ? {} : { httpsAgent: { ca: caBundle, keepAlive: true } }),
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: credentials.accessKeyId,
            secretAccessKey: credentials.secretAccessKey,
            ...(credentials.sessionToken === undefined ? {} : { sessionToken: credentials.sessionToken }),
          },
        }),
  });
}
