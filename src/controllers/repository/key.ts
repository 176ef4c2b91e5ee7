/** Whether the key of a repository is kept by somebody else than this installation. Pure. */
import { keyMark, PASSWORD_KEY } from '../../api/backup-repository.ts';
import type { ConditionInput } from '../../api/conditions.ts';
import { KEY_EXPORTED_ANNOTATION, LABELS, MANAGED_BY } from '../../api/group.ts';
import type { Named } from '../policy/facts.ts';

/** Undefined while the Secret is not known. */
export function keyCondition(secretName: string, secret: Named): ConditionInput<'KeyExported'> | undefined {
  if (secret.state !== 'found') return undefined;
  const password = secret.data[PASSWORD_KEY] ?? '';
  if (secret.labels?.[LABELS.managedBy] !== MANAGED_BY) {
    return { type: 'KeyExported', status: 'True', reason: 'KeyProvided', message: '' };
  }
  if (secret.annotations?.[KEY_EXPORTED_ANNOTATION] === keyMark(password)) {
    return { type: 'KeyExported', status: 'True', reason: 'KeyExported', message: '' };
  }
  const message = `The key in Secret "${secretName}" is kept nowhere else; run "clawstore repository export-key" and store what it prints elsewhere: whoever loses the key has lost the backups.`;
  return { type: 'KeyExported', status: 'False', reason: 'KeyNotExported', message };
}
