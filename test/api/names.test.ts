import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { hasUidBoundAnnotation } from '../../src/api/group.ts';
import { effectiveMountOptions, refusedMountOption } from '../../src/api/mount-options.ts';
import {
  isLabel,
  isSubdomain,
  MAX_MOUNT_NAME,
  mountName,
  mountTarget,
  NameError,
  pathSegment,
  shortHash,
  uidSegment,
} from '../../src/api/names.ts';
import { cleanPath, isWithin, pathProblem } from '../../src/api/paths.ts';
import { matchesLabels, matchesSelector } from '../../src/api/selectors.ts';

const BAD = [
  '',
  '.',
  '..',
  'a/b',
  '../a',
  '/a',
  'A',
  'a_b',
  '-a',
  'a-',
  'a..b',
  'a.',
  '.a',
  'a\0',
  'a\n',
  'ä',
  'x'.repeat(254),
];

describe('names', () => {
  it('are DNS-1123', () => {
    for (const bad of BAD) expect(isSubdomain(bad), bad).to.equal(false);
    for (const good of ['a', '0', 'a-b', 'a.b', 'a1.b-2.c', 'x'.repeat(253)])
      expect(isSubdomain(good), good).to.equal(true);
    expect([isLabel('a.b'), isLabel('x'.repeat(64)), isLabel('x'.repeat(63))]).to.deep.equal([false, false, true]);
  });

  it('reach a path only when they are', () => {
    for (const bad of BAD) {
      expect(() => pathSegment('metadata.name', bad), bad).to.throw(NameError, 'metadata.name: ');
      expect(() => mountTarget('/run/m', bad, 'ok'), bad).to.throw(NameError);
      expect(() => mountTarget('/run/m', 'ok', bad), bad).to.throw(NameError);
    }
    expect(mountTarget('/run/m/', 'ns', 'a')).to.equal('/run/m/ns/a/data');
  });

  it('never leave the mount root, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (namespace, name) => {
        try {
          const target = mountTarget('/run/m', namespace, name);
          return target === cleanPath(target) && target.split('/').length === 6 && isWithin(target, '/run/m');
        } catch (error) {
          return error instanceof NameError;
        }
      }),
    );
  });

  it('take an object UID as a path segment and nothing else', () => {
    const uid = 'c4c2e0f5-0c0e-4a26-9e8b-1f3f1f6d2a11';
    expect(uidSegment('metadata.uid', uid)).to.equal(uid);
    for (const bad of ['', '..', 'a/b', 'a.b', '-']) expect(() => uidSegment('metadata.uid', bad)).to.throw(NameError);
  });

  it('of mounts are the same for the same workload and differ for another', () => {
    expect(mountName('data', 'w1')).to.equal(mountName('data', 'w1'));
    expect(mountName('data', 'w1')).not.to.equal(mountName('data', 'w2'));
    expect(() => mountName('../x', 'w')).to.throw(NameError, 'volumeId');
    fc.assert(
      fc.property(fc.string(), (workload) => {
        const name = mountName('v'.repeat(63), workload);
        expect(shortHash(workload)).to.match(/^[0-9a-v]{10}$/);
        return isSubdomain(name) && name.length <= MAX_MOUNT_NAME;
      }),
    );
  });
});

describe('host paths', () => {
  it('are refused with what is wrong', () => {
    expect(pathProblem('a')).to.equal('must be absolute');
    expect(pathProblem('/a/../b')).to.equal('must not contain ".."');
    expect(pathProblem('/a\0')).to.equal('must not contain control characters');
    expect(pathProblem(`/${'ä'.repeat(2048)}`)).to.equal('must be at most 4095 bytes');
    expect(pathProblem('/srv/..a/b..')).to.equal(undefined);
  });

  it('lie below a prefix segment by segment', () => {
    expect(isWithin('/data', '/data')).to.equal(true);
    expect(isWithin('/data//a/', '/data/')).to.equal(true);
    expect(isWithin('/database', '/data')).to.equal(false);
    expect(isWithin('/', '/data')).to.equal(false);
    expect(isWithin('/anything', '/')).to.equal(true);
  });
});

describe('mount options', () => {
  it('that only restrict are always allowed, others when the class says so', () => {
    expect(refusedMountOption(['ro', 'noexec'], undefined)).to.equal(undefined);
    expect(refusedMountOption(['noatime', 'suid'], undefined)).to.equal('suid');
    expect(refusedMountOption(['suid', 'uid=7'], ['suid', 'uid=*'])).to.equal(undefined);
    expect(refusedMountOption(['uid=8'], ['uid=7'])).to.equal('uid=8');
    expect(refusedMountOption(['uidx=7'], ['uid=*'])).to.equal('uidx=7');
  });

  it('hold nosuid and nodev unless the opposite is asked for', () => {
    expect(effectiveMountOptions([])).to.deep.equal(['nosuid', 'nodev']);
    expect(effectiveMountOptions(['noatime', 'nosuid'])).to.deep.equal(['nosuid', 'nodev', 'noatime']);
    expect(effectiveMountOptions(['suid'])).to.deep.equal(['nodev', 'suid']);
  });
});

describe('selectors', () => {
  it('match nothing when absent and everything when empty', () => {
    expect(matchesSelector(undefined, { a: 'b' })).to.equal(false);
    expect(matchesSelector({}, undefined)).to.equal(true);
    expect(matchesLabels(undefined, undefined)).to.equal(true);
  });

  it('compare labels as Kubernetes does', () => {
    const labels = { env: 'dev', team: 'a' };
    const expression = (
      key: string,
      operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist',
      values?: readonly string[],
    ) =>
      matchesSelector({ matchExpressions: [{ key, operator, ...(values === undefined ? {} : { values }) }] }, labels);
    expect(matchesSelector({ matchLabels: { env: 'dev' } }, labels)).to.equal(true);
    expect(matchesSelector({ matchLabels: { env: 'prod' } }, labels)).to.equal(false);
    expect(expression('env', 'In', ['dev', 'test'])).to.equal(true);
    expect(expression('none', 'In', ['dev'])).to.equal(false);
    expect(expression('env', 'NotIn', ['dev'])).to.equal(false);
    expect(expression('none', 'NotIn', ['dev'])).to.equal(true);
    expect([expression('env', 'Exists'), expression('toString', 'Exists')]).to.deep.equal([true, false]);
    expect([expression('env', 'DoesNotExist'), expression('none', 'DoesNotExist')]).to.deep.equal([false, true]);
  });
});

describe('UID-bound annotations', () => {
  it('count only with the UID of the object that carries them', () => {
    const annotated = (value: string, uid?: string) =>
      hasUidBoundAnnotation({ metadata: { annotations: { x: value }, ...(uid === undefined ? {} : { uid }) } }, 'x');
    expect([annotated('u1', 'u1'), annotated('u1', 'u2'), annotated('true', 'u1'), annotated('', '')]).to.deep.equal([
      true,
      false,
      false,
      false,
    ]);
  });
});
