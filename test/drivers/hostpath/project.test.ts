import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  chooseProject,
  namedProjects,
  type ProjectFacts,
  projectsOf,
  quotaMounts,
  quotaObjection,
} from '../../../src/drivers/hostpath/project.ts';
import { type MountEntry, parseMountinfoLine } from '../../../src/node/mount-entry.ts';

const UID = '0b7e1f4a-6a55-4a3c-9d39-0f8a53a8c1de';
const [FIRST = 0, SECOND = 0] = projectsOf(UID);
const unused = (project: number) => ({ project, limitBytes: 0n, usedBytes: 0n, files: 0n });
const entry = (text: string): MountEntry => {
  const parsed = parseMountinfoLine(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

describe('the project of a directory', () => {
  const choose = (facts: Partial<ProjectFacts> & { readonly project?: number; readonly inherited?: boolean } = {}) => {
    const { project = 0, inherited = false, ...rest } = facts;
    const seen = { project, inherited, uses: projectsOf(UID).map(unused) };
    const nobody: ReadonlySet<number> = new Set();
    return chooseProject({ uid: UID, path: '/d', record: undefined, others: nobody, named: nobody, seen, ...rest });
  };

  it('has a number that follows from the UID alone, far above those of people', () => {
    expect(projectsOf(UID)).to.deep.equal(projectsOf(UID)).and.have.length(8);
    expect(projectsOf(`${UID}0`)).to.not.include.members([FIRST]);
    for (const project of projectsOf(UID)) expect(project).to.be.within(2 ** 30, 2 ** 31 - 1);
  });

  it('is the first number that nobody uses: no other volume, no administrator, no file, no limit', () => {
    expect(choose()).to.deep.equal({ project: FIRST, isMarked: false });
    const second = { project: SECOND, isMarked: false };
    expect(choose({ others: new Set([FIRST]) })).to.deep.equal(second);
    expect(choose({ named: new Set([FIRST]) })).to.deep.equal(second);
    for (const use of [{ files: 1n }, { limitBytes: 512n }]) {
      const uses = [{ ...unused(FIRST), ...use }, unused(SECOND)];
      expect(choose({ seen: { project: 0, inherited: false, uses } })).to.deep.equal(second);
    }
  });

  it('is not chosen where every number is in use', () => {
    expect(choose({ others: new Set(projectsOf(UID)) }))
      .to.have.property('objection')
      .that.includes('in use');
  });

  it('stays what was recorded', () => {
    const record = { project: 7, path: '/d' };
    expect(choose({ record })).to.deep.equal({ project: 7, isMarked: false });
    expect(choose({ record, project: 7, inherited: true })).to.deep.equal({ project: 7, isMarked: true });
  });

  it('is known again by the directory where the record is lost, but not another volume’s', () => {
    expect(choose({ project: SECOND, inherited: true })).to.deep.equal({ project: SECOND, isMarked: true });
    expect(choose({ project: SECOND, others: new Set([SECOND]) })).to.include({ project: undefined });
  });

  it('is not whole while the directory does not pass it on', () => {
    expect(choose({ project: FIRST })).to.deep.equal({ project: FIRST, isMarked: false });
  });

  it('is none where the directory has somebody else’s', () => {
    for (const record of [undefined, { project: FIRST, path: '/d' }]) {
      expect(choose({ project: 42, record }))
        .to.have.property('objection')
        .that.equals('"/d" belongs to project 42 of its filesystem, which is not this volume\'s; it is left as it is.');
    }
  });
});

describe('where a directory can be limited', () => {
  const xfs = (options: string, at = '/srv', attributes = 'rw') =>
    entry(`30 1 8:1 / ${at} ${attributes} - xfs /dev/sda1 ${options}`);

  it('is on XFS with project quota that is enforced, and writable', () => {
    expect(quotaObjection(xfs('rw,attr2,prjquota'))).to.equal(undefined);
    expect(quotaObjection(xfs('rw,attr2,noquota'))).to.include('/srv is not mounted with prjquota');
    expect(quotaObjection(xfs('rw,attr2,pqnoenforce'))).to.include('not mounted with prjquota');
    expect(quotaObjection(xfs('rw,prjquota', '/srv', 'ro'))).to.include('read-only');
    expect(quotaObjection(entry('30 1 8:1 / /srv rw - ext4 /dev/sda1 rw,prjquota'))).to.include('ext4');
    expect(quotaObjection(undefined)).to.include('unknown');
  });

  it('is named once per filesystem, without what is ours', () => {
    const mounts = [
      xfs('rw,prjquota'),
      xfs('rw,prjquota', '/run/clawstore/mounts/a'),
      xfs('rw,noquota', '/home'),
      entry('31 1 8:1 /d /mnt/bound rw - xfs /dev/sda1 rw,prjquota'),
    ];
    expect(quotaMounts(mounts, ['/run/clawstore/mounts'])).to.deep.equal(['/srv']);
  });
});

describe('numbers that an administrator has given away', () => {
  it('are those of /etc/projid and /etc/projects', () => {
    const projid = '# a comment:9\nlogs:10\n\nbroken\n';
    expect([...namedProjects(projid, '11:/var/log\n12:/srv\n')]).to.have.members([10, 11, 12]);
    expect([...namedProjects('', '')]).to.deep.equal([]);
  });
});
