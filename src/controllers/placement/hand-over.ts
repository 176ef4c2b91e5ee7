/**
 * May a volume whose node cannot be asked go to another one? An ordered list of named, pure checks.
 *
 * A Lease that has run out proves nothing: the node may be cut off, and go on with what it was told before. So without the
 * word of a person only that is handed over with which the old owner has nothing to do any more: storage on a server, which
 * is there, and about which it was told neither to delete nor to fill it. The write that gives it to the next node is bound
 * to the volume as it was read, so that nothing of that kind can have been said in between; and afterwards the API server
 * neither shows the volume to the old owner as its own nor lets it write to it.
 */
import { isTrue } from '../../api/conditions.ts';
import { ANNOTATIONS } from '../../api/group.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Volume } from '../../api/volume.ts';
import { isNodeLocal } from '../policy/sources/index.ts';
import { isPaused } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';

export interface HandOverFacts {
  readonly volume: Volume;
  /** The node that has it. */
  readonly nodeName: string;
  /** Nothing of ours runs there any more: a person vouches for it, or has taken the node out of the cluster. */
  readonly isGone: boolean;
  /** Name of the Restore that writes into it. */
  readonly restore: string | undefined;
}

export type HandOver =
  | { readonly may: true }
  /** `wayOut`: what to tell who waits for it, beside that the node is lost. */
  | { readonly may: false; readonly wayOut: string | undefined };

/** In this order; the first that speaks decides. */
const CHECKS: Checks<[HandOverFacts], HandOver> = [
  liesElsewhere,
  isNotNamed,
  isNotPaused,
  isKnownToBeOff,
  isNotDeleted,
  isNotFilled,
];

/** Decides it. */
export function mayHandOver(facts: HandOverFacts): HandOver {
  return firstToSpeak(CHECKS, facts) ?? { may: true };
}

function liesElsewhere({ volume }: HandOverFacts): HandOver | undefined {
  return isNodeLocal(volume.spec) ? stays(undefined) : undefined;
}

function isNotNamed({ volume }: HandOverFacts): HandOver | undefined {
  return volume.spec.nodeName === undefined
    ? undefined
    : stays('spec.nodeName asks for this node, so no other takes it.');
}

function isNotPaused({ volume }: HandOverFacts): HandOver | undefined {
  return isPaused(volume) ? stays('No other node takes it while it is paused.') : undefined;
}

function isKnownToBeOff({ isGone }: HandOverFacts): HandOver | undefined {
  return isGone ? { may: true } : undefined;
}

function isNotDeleted({ volume, nodeName }: HandOverFacts): HandOver | undefined {
  if (!isDeleting(volume)) return undefined;
  return stays(`That node may be deleting what was made for it. ${fencing(nodeName)}`);
}

function isNotFilled({ volume, nodeName, restore }: HandOverFacts): HandOver | undefined {
  if (restore !== undefined) return stays(`Restore "${restore}" may be writing into it there. ${fencing(nodeName)}`);
  if (isTrue(volume.status?.conditions, 'Provisioned')) return undefined;
  return stays(`That node may be making it. ${fencing(nodeName)}`);
}

function fencing(nodeName: string): string {
  return `When node "${nodeName}" is known to be off, annotate its StorageNode with ${ANNOTATIONS.nodeFenced} and its UID: another node then goes on.`;
}

function stays(wayOut: string | undefined): HandOver {
  return { may: false, wayOut };
}
