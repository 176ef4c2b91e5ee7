import { expect } from 'chai';
import { describe, it } from 'mocha';
import { Reason } from '../../../src/api/reasons.ts';
import { nfsFailure } from '../../../src/drivers/nfs/failure.ts';
import { nfsOptions } from '../../../src/drivers/nfs/mount-options.ts';
import { NodeError } from '../../../src/node/node-error.ts';

const reasonOf = (error: NodeError) => nfsFailure(error, 's:/x', Reason.MountFailed).reason;

describe('what mount.nfs says', () => {
  // As nfs-utils 2.6 writes it.
  const said: readonly (readonly [text: string, reason: Reason])[] = [
    ['mount.nfs: Connection refused', 'ServerUnreachable'],
    ['mount.nfs: No route to host', 'ServerUnreachable'],
    ['mount.nfs: Connection timed out', 'ServerUnreachable'],
    ['mount.nfs: mounting s:/x failed, reason given by server: No such file or directory', 'ExportNotFound'],
    ['mount.nfs: access denied by server while mounting s:/x', 'AccessDenied'],
    ['mount.nfs: Operation not permitted for s:/x on /m', 'AccessDenied'],
    ['mount.nfs: Protocol not supported', 'ProtocolNotSupported'],
    ['mount.nfs: requested NFS version or transport protocol is not supported', 'ProtocolNotSupported'],
    ['mount.nfs: an incorrect mount option was specified', 'MountOptionNotAllowed'],
    ['mount.nfs: Stale file handle', 'StaleHandle'],
    ['mount.nfs: No such device', 'KernelFeatureMissing'],
    [
      'mount.nfs: rpc.statd is not running but is required for remote locking.\nmount.nfs: Either use "-o nolock" to keep locks local, or start statd.',
      'CommandMissing',
    ],
    ['mount.nfs: something nobody has thought of', 'MountFailed'],
  ];
  for (const [text, reason] of said) {
    it(`"${text.split('\n')[0]}" is ${reason}`, () => {
      expect(reasonOf(new NodeError('CommandFailed', text))).to.equal(reason);
    });
  }

  it('is retried, unless a person must change something on the node', () => {
    const terminal = (text: string) =>
      nfsFailure(new NodeError('CommandFailed', text), 's:/x', Reason.MountFailed).terminal;
    expect(terminal('mount.nfs: access denied by server while mounting s:/x')).to.equal(false);
    expect(terminal('mount.nfs: an incorrect mount option was specified')).to.equal(true);
  });

  it('reads the same however a dead server fails, so that no status changes with each look', () => {
    const message = (error: NodeError) => nfsFailure(error, 's:/x', Reason.MountFailed).message;
    const silent = message(new NodeError('DeadlineExceeded', 'statfs was given up'));
    expect(message(new NodeError('CommandFailed', 'mount.nfs: Connection refused'))).to.equal(silent);
    expect(message(new NodeError('Failed', 'fstatfs: EIO', { errno: 'EIO' }))).to.equal(silent);
  });

  it('is not needed where a system call or the resolver says it', () => {
    expect(reasonOf(new NodeError('Failed', 'fstatfs: ESTALE', { errno: 'ESTALE' }))).to.equal('StaleHandle');
    expect(reasonOf(new NodeError('PermissionDenied', 'mkdirat: EACCES', { errno: 'EACCES' }))).to.equal(
      'AccessDenied',
    );
    expect(reasonOf(new NodeError('NameNotResolved', 'no address'))).to.equal('ServerNameNotResolved');
    expect(reasonOf(new NodeError('Unsupported', 'mount.nfs cannot be started: ENOENT'))).to.equal('CommandMissing');
    expect(reasonOf(new NodeError('HelperLost', 'it ended'))).to.equal('HelperUnavailable');
    const remote = new NodeError('Failed', 'opendir: EREMOTEIO', { errno: 'EREMOTEIO' });
    expect(nfsFailure(remote, 's:/x', Reason.MountFailed))
      .to.include({ reason: 'ProtocolNotSupported' })
      .with.property('message')
      .that.includes('EREMOTEIO');
  });
});

describe('the mount options of an nfs volume', () => {
  it('ask for version 4.2 unless the volume asks for another', () => {
    expect(nfsOptions(['nosuid']).client).to.deep.equal(['vers=4.2', 'retry=0', 'nosharecache', 'nosuid']);
    expect(nfsOptions(['vers=3', 'nolock']).client).to.deep.equal(['vers=3', 'nolock', 'retry=0', 'nosharecache']);
    expect(nfsOptions(['nfsvers=4.1']).client).to.not.include('vers=4.2');
  });

  it('keep attributes of a mount and options of the client apart', () => {
    const { client, attributes } = nfsOptions(['nosuid', 'nosymfollow', 'timeo=50']);
    expect(attributes).to.deep.equal(['nosuid', 'nosymfollow']);
    expect(client).to.include('timeo=50').and.not.include('nosymfollow');
  });

  for (const option of ['bg', 'retry=5', 'addr=10.0.0.1', 'sharecache', 'remount', 'uid=7']) {
    it(`have no "${option}"`, () => {
      expect(() => nfsOptions([option]))
        .to.throw(`mount option "${option}"`)
        .with.property('terminal', true);
    });
  }
});
