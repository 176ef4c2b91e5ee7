/** What the node that owns nfs volumes notes of them: what was found on the server, and made there, for each. */
import type { Records } from '../../node/records.ts';
import type { DriverLeftover, DriverVolume } from '../driver.ts';
import { type NfsRecord, overlaps } from './record.ts';
import { sourceNameOf, sourceOf } from './volume.ts';

/** The volume's own directory, as it was made or found. */
export type FoundDirectory = Pick<NfsRecord, 'created' | 'adopted'> & { readonly ino: bigint };

/** What the server said of the export. */
export interface ExportFacts {
  readonly fsid: string | null;
  readonly totalBytes: bigint;
}

export class NfsNotes {
  readonly #records: Records<NfsRecord>;

  constructor(records: Records<NfsRecord>) {
    this.#records = records;
  }

  /** The record of this volume; one of another source is none. */
  of(volume: DriverVolume): NfsRecord | undefined {
    const { server, path, subPath = null } = sourceOf(volume);
    const record = this.#records.read(volume.uid);
    return record?.server === server && record.path === path && record.subPath === subPath ? record : undefined;
  }

  /** From now on the volume is provisioned. `found`: its own directory, where it has one. */
  write(volume: DriverVolume, { fsid, totalBytes }: ExportFacts, found: FoundDirectory | undefined): void {
    const { server, path, subPath } = sourceOf(volume);
    this.#records.write(volume.uid, {
      volume: { namespace: volume.namespace, name: volume.name },
      server,
      path,
      subPath: subPath ?? null,
      created: found?.created ?? false,
      ...(found?.adopted === true ? { adopted: true } : {}),
      ino: found === undefined ? null : String(found.ino),
      fsid,
      totalBytes: String(totalBytes),
    });
  }

  /** What was made and is kept stays known: somebody may look for it. */
  forgetUnlessMade(uid: string): void {
    if (this.#records.read(uid)?.created !== true) this.#records.remove(uid);
  }

  forget(uid: string): void {
    this.#records.remove(uid);
  }

  /** Why the data of a volume must stay; undefined when it was made for it and nothing else uses it. */
  reasonToKeep(volume: DriverVolume): string | undefined {
    const name = `"${sourceNameOf(volume)}"`;
    const record = this.of(volume);
    if (record === undefined || record.adopted === true) return `this node has no record of having made ${name}.`;
    if (!record.created) return `${name} was there before the volume.`;
    const others = [...this.#records.all()].filter(([uid, other]) => uid !== volume.uid && overlaps(other, record));
    return others.length === 0 ? undefined : `another volume of this node uses ${name} too.`;
  }

  /** What was made, by UID of its volume. */
  made(): readonly DriverLeftover[] {
    const made = [...this.#records.all()].filter(([, { created }]) => created);
    return made.map(([volumeUID, { volume, server, path, subPath }]) => {
      const where = { path: `${server}:${path}/${subPath ?? ''}`, bytes: undefined };
      return volume === undefined ? { volumeUID, ...where } : { volumeUID, volume, ...where };
    });
  }
}
