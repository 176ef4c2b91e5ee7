/** The manifests for a cluster as they are shipped. */
import { join } from 'node:path';

const KUBERNETES = join(import.meta.dirname, '../../../manifests/kubernetes');

export const INSTALL_BASE = join(KUBERNETES, 'base');

export function overlay(name: string): string {
  return join(KUBERNETES, 'overlays', name);
}
