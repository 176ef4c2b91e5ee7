/** May a Snapshot be given to a node? An ordered list of named, pure checks. */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Snapshot, SnapshotSource } from '../../api/snapshot.ts';
import type { Volume } from '../../api/volume.ts';
import { isPaused } from '../support/annotations.ts';
import { type Checks, firstToSpeak } from '../support/checks.ts';
import type { BindingVerdict, StandIn } from '../support/stand-in.ts';

export interface BindingFacts {
  readonly snapshot: Snapshot;
  /** The Volume that it names; undefined when there is none. */
  readonly volume: Volume | undefined;
}

/** Where a snapshot is taken, and of what. */
export interface Binding {
  readonly nodeName: string;
  readonly source: SnapshotSource;
}

/** In this order; the first objection is the one reported. */
const CHECKS: Checks<[BindingFacts], StandIn> = [snapshotStays, isNotPaused, volumeExists, volumeStays, volumeIsThere];

/** Decides about a snapshot that has no node yet. */
export function bindingOf(facts: BindingFacts): BindingVerdict<Binding> {
  const standIn = firstToSpeak(CHECKS, facts);
  if (standIn !== undefined) return { bound: false, standIn };
  const { metadata, spec, status } = facts.volume ?? {};
  // The checks have passed.
  const source = { volumeName: metadata?.name ?? '', volumeUID: metadata?.uid ?? '', volumeSpec: spec ?? {} };
  return { bound: true, binding: { nodeName: status?.nodeName ?? '', source } };
}

function snapshotStays({ snapshot }: BindingFacts): StandIn | undefined {
  if (!isDeleting(snapshot)) return undefined;
  return { kind: 'waiting', reason: 'Deleting', message: 'The snapshot is being deleted.' };
}

function isNotPaused({ snapshot }: BindingFacts): StandIn | undefined {
  return isPaused(snapshot) ? { kind: 'paused' } : undefined;
}

function volumeExists({ snapshot, volume }: BindingFacts): StandIn | undefined {
  if (volume !== undefined) return undefined;
  const message = `Volume "${snapshot.spec.volumeRef.name}" does not exist; the snapshot waits for it.`;
  return { kind: 'waiting', reason: 'VolumeNotFound', message };
}

function volumeStays({ volume }: BindingFacts): StandIn | undefined {
  if (volume === undefined || !isDeleting(volume)) return undefined;
  const message = `Volume "${volume.metadata.name}" is being deleted; no snapshot of it is taken any more.`;
  return { kind: 'stalled', reason: 'VolumeDeleting', message };
}

function volumeIsThere({ volume }: BindingFacts): StandIn | undefined {
  if (volume?.status?.nodeName !== undefined && isTrue(volume.status.conditions, 'Provisioned')) return undefined;
  const message = `Volume "${volume?.metadata.name}" is not there yet; the snapshot waits for it.`;
  return { kind: 'waiting', reason: 'VolumeNotReady', message };
}
