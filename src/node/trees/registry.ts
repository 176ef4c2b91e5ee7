import { join } from 'node:path';
import type { Handlers } from '../helper/registry.ts';
import { targetName } from '../helper/target.ts';
import { copyTree, probeShare } from './copy.ts';
import { pathOf } from './directories.ts';
import { lookAtTree, nameTree, removeEmptyTree, unfoldTree } from './handlers.ts';
import type { TreeOperations } from './operations.ts';
import { changesOfTree, stateOfTree } from './state.ts';
import { exchangeTree, halfSwaps, swapState, swapTree } from './swap.ts';

/** Which function answers which request about trees. */
export const TREE_HANDLERS: Handlers<TreeOperations> = {
  copyTree: { run: copyTree, paths: ({ source, destination }) => [pathOf(source), targetName(destination)] },
  probeShare: { run: probeShare, paths: ({ source, directory }) => [pathOf(source), targetName(directory)] },
  stateOfTree: { run: stateOfTree, paths: ({ source }) => [pathOf(source)] },
  changesOfTree: { run: changesOfTree, paths: ({ source }) => [pathOf(source)] },
  lookAtTree: { run: lookAtTree, paths: ({ source }) => [pathOf(source)] },
  nameTree: { run: nameTree, paths: ({ tree }) => [targetName(tree)] },
  removeEmptyTree: { run: removeEmptyTree, paths: (tree) => [targetName(tree)] },
  swapTree: { run: swapTree, paths: ({ tree }) => [join(tree.root, tree.path)] },
  swapState: { run: swapState, paths: ({ tree }) => [join(tree.root, tree.path)] },
  halfSwaps: { run: halfSwaps, paths: ({ tree }) => [join(tree.root, tree.path)] },
  exchangeTree: { run: exchangeTree, paths: ({ tree }) => [targetName(tree)] },
  unfoldTree: { run: unfoldTree, paths: ({ tree }) => [targetName(tree)] },
};
