/** What the policy of a volume is decided from, and what a refusal is. */
import type { Reason } from '../../api/reasons.ts';
import type { Volume } from '../../api/volume.ts';
import type { VolumeClass } from '../../api/volume-class.ts';
import type { Content } from './data-source.ts';

/** What one node adds to the decision. */
export interface NodePolicy {
  /** Prefixes that the node's own configuration allows (`--host-path-allow`); undefined where it is not known. */
  readonly hostPathAllow: readonly string[] | undefined;
}

export interface PolicyFacts {
  readonly volume: Volume;
  /** Looks a VolumeClass up by name. */
  readonly classNamed: (name: string) => VolumeClass | undefined;
  /** Labels of the volume's namespace; undefined when the namespace is not (yet) known. */
  readonly namespaceLabels: Readonly<Record<string, string>> | undefined;
  readonly node: NodePolicy;
  /** What a volume that has not been made yet is made from; undefined when it starts without. */
  readonly content?: Content | undefined;
}

/** What is known of an object that a volume names. */
export type Named =
  | {
      readonly state: 'found';
      readonly data: Readonly<Record<string, string>>;
      readonly labels?: Readonly<Record<string, string>>;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  | { readonly state: 'absent' }
  /** Not read yet. */
  | { readonly state: 'unknown' };

/** Looks up the Secrets and ConfigMaps that the volumes of this node name, and no others. Values are decoded. */
export interface NamedData {
  secret(namespace: string, name: string): Named;
  configMap(namespace: string, name: string): Named;
}

/** Why a volume may not be what it asks to be. */
export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
  /**
   * True: only a person's change of the volume, class, namespace or node helps. False: what it names is not known, and may
   * be on its way: applied together with the volume, or not in this cache yet.
   */
  readonly stalled: boolean;
}
