/** What mounting a bucket needs of the node: FUSE, and an rclone that is new enough. */
import { statSync } from 'node:fs';
import { Reason } from '../../api/reasons.ts';
import type { NodeLayer } from '../../node/layer.ts';
import { findProgram } from '../../node/programs.ts';
import type { DriverCapabilities } from '../driver.ts';
import { asDriver } from '../failure.ts';
import { lackingFeature } from '../lacking.ts';

const MINIMUM = [1, 68] as const;

export class Capabilities {
  readonly #node: Pick<NodeLayer, 'features' | 'call'>;
  #probed: { readonly file: string; readonly changedMs: number; readonly version: string } | undefined;

  constructor(node: Pick<NodeLayer, 'features' | 'call'>) {
    this.#node = node;
  }

  async look(signal: AbortSignal): Promise<DriverCapabilities> {
    const lacks = (reason: Reason, message: string): DriverCapabilities => {
      return { supported: false, reason, message, features: [] };
    };
    const lacking = lackingFeature(this.#node);
    if (lacking !== undefined) return lacks(Reason.KernelFeatureMissing, lacking.message);
    if (statSync('/dev/fuse', { throwIfNoEntry: false }) === undefined) {
      return lacks(Reason.KernelFeatureMissing, 'there is no /dev/fuse: load the kernel module fuse');
    }
    for (const [program, pkg] of [
      ['fusermount3', 'fuse3'],
      ['rclone', 'rclone'],
    ] as const) {
      if (findProgram(program) === undefined) {
        return lacks(Reason.CommandMissing, `${program} is not installed: apt-get install ${pkg}`);
      }
    }
    const version = await this.#version(signal);
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
      return lacks(Reason.CommandMissing, `rclone ${version} is too old: ${MINIMUM.join('.')} or newer is needed`);
    }
    const message = 'nothing limits what is written to a bucket';
    const features = [{ name: 'CapacityEnforcement', available: false, reason: Reason.NotEnforceable, message }];
    return { supported: true, reason: Reason.Supported, message: '', features };
  }

  /** Of the installed rclone; asked again only when the file has changed. */
  async #version(signal: AbortSignal): Promise<string> {
    const file = findProgram('rclone') ?? 'rclone';
    const changedMs = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (this.#probed?.file !== file || this.#probed.changedMs !== changedMs) {
      const { stdout } = await asDriver(Reason.CommandMissing, () =>
        this.#node.call('run', { argv: [file, 'version'] }, { signal }),
      );
      this.#probed = { file, changedMs, version: /v(\d+\.\d+)/.exec(stdout)?.[1] ?? '0.0' };
    }
    return this.#probed.version;
  }
}
