import type { NodeFeature, NodeLayer } from '../node/layer.ts';

/** What every driver that mounts needs of the node. */
const ALWAYS: readonly string[] = ['Koffi', 'BindMounts'];

/** The first feature that a driver needs and this node does not have; undefined when it has all. */
export function lackingFeature(
  { features }: Pick<NodeLayer, 'features'>,
  alsoNeeded: readonly string[] = [],
): NodeFeature | undefined {
  return features.find(({ name, available }) => !available && (ALWAYS.includes(name) || alsoNeeded.includes(name)));
}
