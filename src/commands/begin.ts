/**
 * How a command begins long work: as an object that it makes once. The same request again, by the caller's own name for
 * it or while the work goes on, finds that object and is answered for it.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGERS, LABELS } from '../api/group.ts';
import { apiVersionOf, isDeleting, type KubeObject, type ResourceDescriptor } from '../api/meta.ts';
import { isSubdomain } from '../api/names.ts';
import { KubeError } from '../kube/errors.ts';
import type { CommandContext } from './command.ts';
import { CommandError } from './command-error.ts';
import { fromKube } from './wait.ts';

export interface Work<Spec> {
  /** As callers write the command, for errors. */
  readonly command: string;
  readonly resource: ResourceDescriptor;
  /** The first part of the names that it makes. */
  readonly prefix: string;
  readonly spec: Spec;
  /** What the server or a controller takes a field for that is absent. */
  readonly defaults: Partial<Spec>;
}

/** Names that are tried before it is given up. */
const MAX_TRIES = 100;
const PAGE = 500;

/**
 * Returns what an earlier call began, or else begins it: what has the caller's own name for the request, whatever became
 * of it; else what goes on and is for the same, whoever asked for it: a gateway gives each call a name of its own, also
 * where somebody only asks again how it goes.
 *
 * @param goesOn Whether an object has not ended.
 * @throws CommandError `InvalidParameter` when the request's name stands for another request.
 */
export async function begin<T extends KubeObject>(
  work: Work<T['spec']>,
  goesOn: (there: T) => boolean,
  context: CommandContext,
): Promise<T> {
  const { command, resource } = work;
  const { requestId } = context;
  const hash = requestId === undefined ? undefined : requestHash(requestId);
  const made = await madeByCommands<T>(resource, context);
  const isOwn = ({ metadata }: T): boolean => hash !== undefined && metadata.labels?.[LABELS.request] === hash;
  const own = made.find(isOwn);
  if (own !== undefined) {
    const other = differenceOf(own.spec, work);
    if (other === undefined) return own;
    throw new CommandError('InvalidParameter', `${command}: the request ID stands for a request that ${other}`);
  }
  // Two deliveries of one request may meet at its name when the first has ended.
  const answers = (there: T): boolean =>
    !isDeleting(there) && (isOwn(there) || goesOn(there)) && differenceOf(there.spec, work) === undefined;
  const names = new Set(made.map(({ metadata }) => metadata.name));
  return made.find(answers) ?? createNext<T>(work, names, answers, context);
}

/** Every object that commands have made. @throws CommandError */
export async function madeByCommands<T extends KubeObject>(
  resource: ResourceDescriptor,
  { client, namespace, signal }: CommandContext,
): Promise<readonly T[]> {
  const labelSelector = `${LABELS.managedBy}=clawstore`;
  const found: T[] = [];
  try {
    for await (const { items } of client.listPages<T>(resource, { namespace, labelSelector, limit: PAGE, signal })) {
      found.push(...items);
    }
  } catch (thrown) {
    throw fromKube(thrown);
  }
  return found;
}

/**
 * Makes one with the date in its name and the first number that is free, e.g. `backup-20261127-1`. So two calls at a time
 * want the same name: one makes it, and the other is answered for it.
 */
async function createNext<T extends KubeObject>(
  work: Work<T['spec']>,
  taken: ReadonlySet<string>,
  answers: (there: T) => boolean,
  context: CommandContext,
): Promise<T> {
  const { client, namespace, signal } = context;
  const date = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  for (let number = 1, tries = 0; tries < MAX_TRIES; number++) {
    const name = `${work.prefix}-${date}-${number}`;
    if (taken.has(name)) continue;
    tries++;
    const made = await create<T>(name, work, context);
    if (made !== undefined) return made;
    const there = await client.get<T>(work.resource, { namespace, name }, { signal }).catch((thrown: unknown) => {
      if (!KubeError.from(thrown).isNotFound) throw fromKube(thrown);
    });
    if (there !== undefined && answers(there)) return there;
  }
  throw new CommandError('Refused', `${work.command}: all names for today that were tried are taken`);
}

/** The same request again is answered; another one under the same name is an error that says what differs. */
export async function createNamed<T extends KubeObject>(
  name: string,
  work: Work<T['spec']>,
  context: CommandContext,
): Promise<T> {
  const { command, resource } = work;
  const { client, namespace, signal } = context;
  if (!isSubdomain(name)) {
    const message = `${command}: "${name}" is not a DNS-1123 name (lower case letters, digits, "-" and ".")`;
    throw new CommandError('InvalidParameter', message, { field: 'name' });
  }
  const made = await create<T>(name, work, context);
  if (made !== undefined) return made;
  const there = await client.get<T>(resource, { namespace, name }, { signal }).catch((cause: unknown) => {
    throw fromKube(cause);
  });
  const other = isDeleting(there) ? 'is being deleted' : differenceOf(there.spec, work);
  if (other === undefined) return there;
  // The caller chose no name, but what it calls its request.
  if (context.requestId !== undefined) {
    throw new CommandError('InvalidParameter', `${command}: the request ID stands for a request that ${other}`);
  }
  const message = `${command}: ${resource.kind} "${name}" exists already and ${other}`;
  throw new CommandError('AlreadyExists', message, { field: 'name' });
}

/** What of a spec is not as the work wants it, to follow the name of the object; undefined: nothing. */
export function differenceOf<Spec>(there: Spec, { spec, defaults }: Work<Spec>): string | undefined {
  const [has, wanted] = [there, spec].map((one): Readonly<Record<string, unknown>> => ({ ...defaults, ...one }));
  const fields = Object.keys({ ...has, ...wanted });
  const other = fields.find((field) => !isDeepStrictEqual(has?.[field], wanted?.[field]));
  return other === undefined ? undefined : `has another ${other}`;
}

async function create<T extends KubeObject>(
  name: string,
  { resource, spec }: Work<T['spec']>,
  { client, namespace, requestId, signal }: CommandContext,
): Promise<T | undefined> {
  const labels = {
    [LABELS.managedBy]: 'clawstore',
    ...(requestId === undefined ? {} : { [LABELS.request]: requestHash(requestId) }),
  };
  const metadata = { name, namespace, labels };
  const object = { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata, spec };
  try {
    return (await client.create<KubeObject>(resource, object, {
      fieldManager: FIELD_MANAGERS.commands,
      signal,
    })) as T;
  } catch (thrown) {
    if (KubeError.from(thrown).isAlreadyExists) return undefined;
    throw fromKube(thrown);
  }
}

/** A request ID may be any text, and a name or a label may not. */
function requestHash(requestId: string): string {
  return createHash('sha256').update(requestId).digest('hex').slice(0, 16);
}
