import { dirname } from 'node:path';
import type { Handlers } from '../helper/registry.ts';
import { targetName } from '../helper/target.ts';
import { blockUse, cloneImage, nameImage, replaceImage } from './clone.ts';
import { createImage, freeze, growImage, makeInside, mountImage, probeClone, removeImage } from './handlers.ts';
import type { ImageOperations } from './operations.ts';

/** Which function answers which request about images. */
export const IMAGE_HANDLERS: Handlers<ImageOperations> = {
  createImage: { run: createImage, paths: ({ file }) => [dirname(file)] },
  mountImage: { run: mountImage, paths: ({ file, target }) => [dirname(file), targetName(target)] },
  growImage: { run: growImage, paths: ({ file }) => [dirname(file)] },
  removeImage: { run: removeImage, paths: ({ file }) => [dirname(file)] },
  freeze: { run: freeze },
  cloneImage: { run: cloneImage, paths: ({ source, file }) => [dirname(source), dirname(file)] },
  nameImage: { run: nameImage, paths: ({ file }) => [dirname(file)] },
  replaceImage: { run: replaceImage, paths: ({ file }) => [dirname(file)] },
  blockUse: { run: blockUse, paths: ({ file }) => [dirname(file)] },
  makeInside: { run: makeInside },
  probeClone: { run: probeClone, paths: ({ directory }) => [directory] },
};
