/** A real Prometheus that scrapes what it is told every second, and evaluates rules as often. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toolPath } from '../../../scripts/tools.ts';
import { Daemon } from './daemon.ts';
import { freePort } from './ports.ts';
import { makeDirectory } from './run.ts';
import { waitFor } from './wait.ts';

export interface Alert {
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

const READY_MS = 90_000;

export class Prometheus {
  readonly #daemon: Daemon;
  readonly #directory: string;
  readonly #url: string;

  private constructor(daemon: Daemon, directory: string, url: string) {
    this.#daemon = daemon;
    this.#directory = directory;
    this.#url = url;
  }

  /** @param targets `HOST:PORT` of metrics servers. */
  static async start(ruleFile: string, targets: readonly string[]): Promise<Prometheus> {
    const directory = makeDirectory('prometheus');
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [ruleFile],
      scrape_configs: [{ job_name: 'clawstore', static_configs: [{ targets }] }],
    };
    const file = join(directory, 'prometheus.yml');
    writeFileSync(file, stringify(config));
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const daemon = new Daemon({
      name: 'prometheus',
      command: await toolPath('prometheus'),
      args: [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=${address}`,
      ],
      logFile: join(directory, 'log'),
    });
    const prometheus = new Prometheus(daemon, directory, `http://${address}`);
    const isReady = async (): Promise<boolean> => {
      daemon.assertRunning();
      const response = await fetch(`http://${address}/-/ready`).catch(() => undefined);
      return response?.status === 200;
    };
    await waitFor(isReady, { deadline: READY_MS, message: 'Prometheus to be ready', instead: () => daemon.tail() });
    return prometheus;
  }

  async end(): Promise<void> {
    await this.#daemon.stop();
    rmSync(this.#directory, { recursive: true });
  }

  async alerts(): Promise<readonly Alert[]> {
    const { alerts } = await this.#ask<{ readonly alerts: readonly Alert[] }>('/api/v1/alerts');
    return alerts;
  }

  /** Names of the alerts that it has loaded, each with whether it could be evaluated. */
  async rules(): Promise<ReadonlyMap<string, string>> {
    const { groups } = await this.#ask<{
      readonly groups: readonly { readonly rules: readonly { readonly name: string; readonly health: string }[] }[];
    }>('/api/v1/rules');
    return new Map(groups.flatMap(({ rules }) => rules.map(({ name, health }) => [name, health])));
  }

  /** @throws Error with what it says against the query. */
  async query(query: string): Promise<readonly Sample[]> {
    const { result } = await this.#ask<{ readonly result: readonly Sample[] }>(
      `/api/v1/query?${new URLSearchParams({ query })}`,
    );
    return result;
  }

  async #ask<T>(path: string): Promise<T> {
    const response = await fetch(`${this.#url}${path}`);
    const answer = (await response.json()) as { readonly status: string; readonly data: T; readonly error?: string };
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }
}
