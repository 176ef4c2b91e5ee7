/**
 * What the kernel complains of, as a hint that a filesystem should be looked at: one that was shut down or made read-only
 * after an I/O error changes nothing that a poll of the mount table would tell. The words are not understood: that a record
 * names a device is enough, and what has become of it is read from facts.
 *
 * Source: Documentation/ABI/testing/dev-kmsg.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import type { Libc, PollHandle } from './libc.ts';

const KMSG = '/dev/kmsg';
/** One record is never longer (`PRINTKRB_RECORD_MAX` and its dictionary). */
const RECORD_BYTES = 8192;
/** KERN_WARNING of syslog(2); what is above is told in passing, e.g. at every mount. */
const LEAST_SEVERE = 4;
/** A device that fails makes many records: they are gathered so long, in milliseconds. */
const GATHER_MS = 20;
const O_NONBLOCK = 0o4000;

/**
 * Calls back with the words of complaints of the kernel from now on; undefined where its log may not be read (containers
 * without /dev/kmsg).
 */
export function followComplaints(libc: Libc, callback: (words: ReadonlySet<string>) => void): PollHandle | undefined {
  let fd: number;
  try {
    fd = openSync(KMSG, O_NONBLOCK);
  } catch {
    return undefined;
  }
  const buffer = Buffer.allocUnsafe(RECORD_BYTES);
  const gathered = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    timer = undefined;
    const words = new Set(gathered);
    gathered.clear();
    callback(words);
  };
  try {
    libc.seekToEnd(fd);
    const handle = libc.onReadable(fd, () => {
      for (const record of read(fd, buffer)) {
        for (const word of complaintWords(record)) gathered.add(word);
      }
      if (gathered.size > 0) timer ??= setTimeout(tell, GATHER_MS);
    });
    return {
      close() {
        clearTimeout(timer);
        handle.close();
        closeSync(fd);
      },
      unref: () => handle.unref(),
    };
  } catch {
    closeSync(fd);
    return undefined;
  }
}

/** The words of a record that complains, devices' names among them; none of any other. */
export function complaintWords(record: string): readonly string[] {
  const [head, text] = splitOnce(record, ';');
  const level = Number.parseInt(head, 10) & 7;
  if (Number.isNaN(Number.parseInt(head, 10)) || level > LEAST_SEVERE) return [];
  // Lines that begin with a space are its dictionary, which names devices too.
  return text.match(/[A-Za-z0-9_-]+/g) ?? [];
}

function* read(fd: number, buffer: Buffer): Generator<string> {
  for (;;) {
    try {
      yield buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, null));
    } catch (thrown) {
      // Records were overwritten before they were read: go on with the oldest that is left.
      if ((thrown as NodeJS.ErrnoException).errno === -constants.errno.EPIPE) continue;
      return;
    }
  }
}

function splitOnce(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
