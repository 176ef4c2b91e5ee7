import { formatBytes } from '../../api/quantity.ts';
import type { Progress } from '../../drivers/driver.ts';

const MIB = 1024n * 1024n;

/** How far a copy is, to end a sentence with: `: 12Gi of 40Gi`; empty when nothing is known. */
export function progressText(progress: Progress | undefined): string {
  if (progress === undefined) return '';
  const { bytesDone, bytesTotal } = progress;
  return `: ${rounded(bytesDone)} of ${rounded(bytesTotal)}`;
}

/** To whole MiB, which nobody wants to read the bytes of. */
function rounded(bytes: bigint): string {
  return bytes < MIB ? `${bytes} bytes` : formatBytes((bytes / MIB) * MIB);
}
