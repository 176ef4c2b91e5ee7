/** The helper's side of project quotas. */
import { openUserPath } from '../helper/bind.ts';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import type { Libc, Project } from '../helper/libc.ts';
import type { UserPath } from '../layer.ts';
import { NodeError } from '../node-error.ts';
import { moveTree } from './move-tree.ts';
import type { DirectoryProject, ProjectUse, QuotaOperations } from './operations.ts';

/** quotactl(2): `Q_XGETQUOTA`, `Q_XSETQLIM` and `Q_XGETQSTAT` of <linux/dqblk_xfs.h>. */
const [GET_QUOTA, SET_LIMIT, GET_STATE] = [0x5803, 0x5804, 0x5805];
/** `struct fs_disk_quota`: its size, where its fields are, and its unit. */
const SIZE = 112;
const FIELD = { version: 0, flags: 1, mask: 2, id: 4, hardLimit: 8, softLimit: 16, used: 40, files: 48 } as const;
const [VERSION, OF_PROJECT] = [1, 2];
const [SOFT_BLOCKS, HARD_BLOCKS] = [1 << 2, 1 << 3];
const BLOCK = 512n;

export function inspectProject(
  context: HelperContext,
  request: QuotaOperations['inspectProject']['params'],
): DirectoryProject {
  using directory = open(context, request);
  const { id, inherited } = projectOf(context.libc, directory, request.path);
  const uses = request.projects.map((project) => useOf(context.libc, directory, project));
  return { project: id, inherited, uses };
}

export async function limitProject(
  context: HelperContext,
  request: QuotaOperations['limitProject']['params'],
  { signal }: RequestContext,
): Promise<null> {
  const { libc } = context;
  const { path, project, limitBytes } = request;
  using directory = open(context, request);
  const { id, inherited } = projectOf(libc, directory, path);
  if (id !== 0 && id !== project) {
    throw new NodeError('OtherProject', `${path} belongs to project ${id}, which is not this volume's`, { path });
  }
  // A limit is set after everything is counted: where there is one, that has been done.
  const isCounted = id === project && inherited && useOf(libc, directory, project).limitBytes > 0n;
  if (!isCounted) {
    await moveTree(libc, directory, { from: 0, to: project, shownAs: path }, signal);
  }
  setLimit(libc, directory, project, limitBytes);
  return null;
}

export async function clearProject(
  context: HelperContext,
  request: QuotaOperations['clearProject']['params'],
  { signal }: RequestContext,
): Promise<null> {
  const { libc } = context;
  using directory = open(context, request);
  try {
    setLimit(libc, directory, request.project, 0n);
  } catch (thrown) {
    // Mounted without quota now: there is no limit, but the marks are still there.
    if (NodeError.from(thrown).code !== 'Unsupported') throw thrown;
  }
  // A directory that somebody has given to another project since is not ours to change, nor what is in it.
  await moveTree(libc, directory, { from: request.project, to: 0, shownAs: request.path }, signal);
  return null;
}

/** @throws NodeError `Unsupported` where this kernel lacks the calls. */
export function probeQuotaCalls(libc: Libc): void {
  try {
    libc.projectQuotactl(-1, GET_STATE, 0, Buffer.alloc(SIZE));
  } catch (thrown) {
    if (NodeError.from(thrown).errno !== 'EBADF') throw thrown;
  }
}

/** A descriptor that ioctl(2) takes, of the directory that the user's path leads to. */
function open(context: HelperContext, request: UserPath): Fd {
  using source = openUserPath(context, request, false);
  return new Fd(context.libc, context.libc.openDirectory(source.fd.procPath));
}

function projectOf(libc: Libc, directory: Fd, path: string): Project {
  const project = libc.projectOf(directory.number);
  if (project !== undefined) return project;
  throw new NodeError('Unsupported', `the filesystem of ${path} has no projects`, { path });
}

function useOf(libc: Libc, directory: Fd, project: number): ProjectUse {
  const buffer = Buffer.alloc(SIZE);
  try {
    libc.projectQuotactl(directory.number, GET_QUOTA, project, buffer);
  } catch (thrown) {
    // quotactl(2): nothing has been counted for it yet.
    if (NodeError.from(thrown).errno === 'ENOENT') return { project, limitBytes: 0n, usedBytes: 0n, files: 0n };
    throw unsupported(thrown);
  }
  return {
    project,
    limitBytes: buffer.readBigUInt64LE(FIELD.hardLimit) * BLOCK,
    usedBytes: buffer.readBigUInt64LE(FIELD.used) * BLOCK,
    files: buffer.readBigUInt64LE(FIELD.files),
  };
}

function setLimit(libc: Libc, directory: Fd, project: number, bytes: bigint): void {
  const buffer = Buffer.alloc(SIZE);
  buffer.writeInt8(VERSION, FIELD.version);
  buffer.writeInt8(OF_PROJECT, FIELD.flags);
  buffer.writeUInt16LE(SOFT_BLOCKS | HARD_BLOCKS, FIELD.mask);
  buffer.writeUInt32LE(project, FIELD.id);
  buffer.writeBigUInt64LE((bytes + BLOCK - 1n) / BLOCK, FIELD.hardLimit);
  try {
    libc.projectQuotactl(directory.number, SET_LIMIT, project, buffer);
  } catch (thrown) {
    throw unsupported(thrown);
  }
}

/** What quotactl(2) says where the filesystem counts no projects. */
function unsupported(thrown: unknown): NodeError {
  const error = NodeError.from(thrown);
  if (!['ENOSYS', 'ESRCH', 'EOPNOTSUPP', 'EINVAL', 'ENOTBLK', 'ENOTTY'].includes(error.errno ?? '')) return error;
  return new NodeError('Unsupported', `the filesystem counts no projects (${error.errno})`, {
    errno: error.errno,
    cause: error,
  });
}
