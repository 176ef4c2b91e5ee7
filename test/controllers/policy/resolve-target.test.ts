import { expect } from 'chai';
import { describe, it } from 'mocha';
import { resolveTarget } from '../../../src/controllers/policy/resolve-target.ts';
import { mount } from '../support/objects.ts';

const resolve = (hostPath: string | undefined, prefixes: readonly string[] = ['/data', '/data/deep']) => {
  const resolution = resolveTarget(mount('m', hostPath === undefined ? {} : { hostPath }), '/run/mounts/', prefixes);
  return resolution.ok ? resolution.target : resolution.refusal.reason;
};

describe('resolveTarget', () => {
  it('puts a mount below the mount root by default', () => {
    expect(resolve(undefined)).to.deep.equal({
      root: '/run/mounts',
      path: 'team/m/data',
      hostPath: '/run/mounts/team/m/data',
    });
  });

  it('takes the longest allowed prefix for an exact target', () => {
    expect(resolve('/data/deep/a')).to.deep.equal({ root: '/data/deep', path: 'a', hostPath: '/data/deep/a' });
  });

  it('refuses a target outside, at the prefix itself, or with dots in it', () => {
    expect(resolve('/etc')).to.equal('HostPathNotAllowed');
    expect(resolve('/data', ['/data'])).to.equal('HostPathNotAllowed');
    expect(resolve('/data/../etc')).to.equal('InvalidSpec');
    expect(resolve('relative')).to.equal('InvalidSpec');
  });
});
