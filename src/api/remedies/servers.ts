import type { Remedies } from './remedy.ts';

/** NFS and S3 servers, and what they say. */
export const SERVERS = {
  ServerUnreachable: {
    affected:
      'Programs that use the volume wait (nfs) or get errors (s3); other volumes do not notice. Nothing is unmounted.',
    action: 'See that the server runs and that the node reaches it. It goes on by itself within seconds.',
  },
  ServerNameNotResolved: {
    affected: 'Nothing is mounted or sent.',
    action:
      'Correct the name, or the DNS of the node. For S3 servers without a host name per bucket set `forcePathStyle: true`.',
  },
  ExportNotFound: {
    affected: 'Nothing is mounted.',
    action: 'Export the path on the server, or correct `path`. It is tried again.',
  },
  ProtocolNotSupported: {
    affected: 'Nothing is mounted.',
    action: 'Set a version that both sides have in `mountOptions`, e.g. `vers=4.1`.',
  },
  AccessDenied: {
    affected: 'What the message names is not done.',
    action: 'Allow this node at the NFS server, or give the S3 credentials the right that the message names.',
  },
  StaleHandle: {
    affected: 'Programs get ESTALE until the mount is made anew.',
    action:
      'Nothing: it is mounted anew. If it comes back, look whether the exported directory is replaced again and again.',
  },
  CredentialsNotFound: {
    affected: 'Nothing is mounted or sent.',
    action:
      'Make the Secret or ConfigMap, or add the key that is named. On a cluster the controllers grant it to the node within a second.',
  },
  CredentialsRejected: {
    affected: 'Nothing is mounted or sent; what was mounted gets errors.',
    action: 'Correct the Secret, nothing else: it is read again within seconds.',
  },
  BucketNotFound: {
    affected: 'Nothing is mounted or sent.',
    action: 'Make the bucket, or correct its name. clawstore never makes buckets.',
  },
  RegionMismatch: {
    affected: 'Nothing is mounted or sent.',
    action: 'Make the object anew with the region that the message names.',
  },
  CertificateNotTrusted: {
    affected: 'Nothing is sent, no credentials either.',
    action: 'Name a ConfigMap with the authority in `caBundleRef`, or renew the certificate of the server.',
  },
  ClockSkew: {
    affected: 'The server refuses every request.',
    action: 'Synchronise the clocks of node and server; S3 allows 15 minutes.',
  },
  ServerError: {
    affected: 'What the message names is not done.',
    action: 'Nothing at first: it is tried again. If it lasts, the log of the server has the cause.',
  },
  UploadPending: {
    affected: 'The unmount, snapshot or backup waits: files are on this node alone.',
    action:
      'Wait, or mend the server. To lose what was not sent on purpose: annotate the object `storage.clawbernetes.io/allow-data-loss` with its UID.',
  },
  ObjectsLocked: {
    affected: 'The deletion waits; the objects stay.',
    action: 'Nothing: it goes on when the lock of the objects ends.',
  },
} as const satisfies Remedies;
