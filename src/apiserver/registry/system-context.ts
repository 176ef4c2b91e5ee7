import type { Clock } from './clock.ts';
import type { WriteContext } from './request.ts';

/** The user in whose name the server itself works. */
const SYSTEM_USER = { name: 'system:apiserver', groups: ['system:masters'] };

/** A write of the server itself: nobody asks, and nobody is warned. */
export function systemContext(fieldManager: string, clock: Clock): WriteContext {
  return { user: SYSTEM_USER, dryRun: false, fieldValidation: 'Ignore', fieldManager, warnings: [], clock };
}
