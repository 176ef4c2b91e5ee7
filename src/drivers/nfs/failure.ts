/** Why an NFS server could not be used, in the words of a status. Pure. */
import { Reason } from '../../api/reasons.ts';
import { NodeError } from '../../node/node-error.ts';
import { DriverError } from '../driver.ts';
import { toDriverError } from '../failure.ts';

/** What mount.nfs(8) says, in its C locale, in the order in which it is looked for. */
const SAID: readonly (readonly [pattern: RegExp, reason: Reason])[] = [
  [/rpc\.statd/, Reason.CommandMissing],
  [/incorrect mount option|invalid mount option|Unknown parameter|parsing error/i, Reason.MountOptionNotAllowed],
  [/unknown filesystem type|No such device/i, Reason.KernelFeatureMissing],
  [/Protocol not supported|requested NFS version|Protocol family not supported/i, Reason.ProtocolNotSupported],
  [/access denied|Permission denied|Operation not permitted/i, Reason.AccessDenied],
  [/Stale (NFS )?file handle/i, Reason.StaleHandle],
  [/No such file or directory|Not a directory/i, Reason.ExportNotFound],
  [/Failed to resolve server|Name or service not known|name resolution/i, Reason.ServerNameNotResolved],
  [
    /refused|No route to host|timed out|unreachable|Host is down|reset by peer|Input\/output error/i,
    Reason.ServerUnreachable,
  ],
];

/** What a system call on a mounted export fails with. */
const ERRNO: Readonly<Record<string, Reason>> = {
  ESTALE: Reason.StaleHandle,
  EACCES: Reason.AccessDenied,
  EPERM: Reason.AccessDenied,
  EIO: Reason.ServerUnreachable,
  ETIMEDOUT: Reason.ServerUnreachable,
  EHOSTDOWN: Reason.ServerUnreachable,
  ENOTCONN: Reason.ServerUnreachable,
  EREMOTEIO: Reason.ProtocolNotSupported,
};

/** Only a person helps, and not on the server. */
const TERMINAL: readonly Reason[] = [Reason.CommandMissing, Reason.MountOptionNotAllowed, Reason.KernelFeatureMissing];

/** Puts what went wrong with a server in the words of a status; `what` is what it was done with, to begin a sentence. */
export function nfsFailure(thrown: unknown, what: string, otherwise: Reason): DriverError {
  if (thrown instanceof DriverError) return thrown;
  const error = NodeError.from(thrown);
  const reason = reasonOf(error);
  if (reason === undefined) return toDriverError(error, otherwise);
  if (reason === Reason.ServerUnreachable) return unreachable(what);
  return new DriverError(reason, `${what}: ${sentence(error, reason)}`, {
    terminal: TERMINAL.includes(reason),
    cause: thrown,
  });
}

function reasonOf({ code, errno, message }: NodeError): Reason | undefined {
  switch (code) {
    case 'NameNotResolved':
      return Reason.ServerNameNotResolved;
    case 'DeadlineExceeded':
      return Reason.ServerUnreachable;
    case 'CommandFailed':
      return SAID.find(([pattern]) => pattern.test(message))?.[1];
    case 'Unsupported':
      return Reason.CommandMissing;
    default:
      return errno === undefined ? undefined : ERRNO[errno];
  }
}

/** The same whatever it was asked and however it failed, so that a dead server is one message and not many in turn. */
export function unreachable(what: string): DriverError {
  return new DriverError(Reason.ServerUnreachable, `${what}: the server does not answer`);
}

function sentence({ message, code, errno }: NodeError, reason: Reason): string {
  if (errno === 'EREMOTEIO') {
    return "the server takes what this node's kernel asks it for an error (EREMOTEIO); vers=4.0 may help, see docs/nfs.md";
  }
  if (reason === Reason.CommandMissing && code === 'Unsupported') return 'mount.nfs is missing; install nfs-common';
  return lastLine(message);
}

/** mount.nfs repeats itself; its last line is the reason. */
function lastLine(text: string): string {
  return (text.trim().split('\n').at(-1) ?? text).replace(/^mount\.nfs: /, '');
}
