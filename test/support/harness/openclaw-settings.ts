/** What an OpenClaw gateway of ours is told: everything that it writes stays below one directory, and it asks nobody outside. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface GatewayConfig {
  /** Commands that its policy lets through, by name. */
  readonly allow?: readonly string[];
  /** Directories of plugins that are loaded, with the IDs of the plugins. */
  readonly plugins?: Readonly<Record<string, string>>;
}

/** Makes its directories and its configuration. */
export function writeGatewayConfig(
  directory: string,
  port: number,
  token: string,
  { allow = [], plugins }: GatewayConfig = {},
): void {
  for (const folder of ['home', 'tmp', 'state']) mkdirSync(join(directory, folder), { recursive: true });
  const ids = Object.keys(plugins ?? {});
  const config = {
    gateway: {
      mode: 'local',
      bind: 'lan',
      port,
      auth: { mode: 'token', token },
      controlUi: { enabled: false },
      nodes: { commands: { allow } },
    },
    update: { checkOnStart: false },
    models: { catalogRefresh: { enabled: false } },
    plugins:
      plugins === undefined
        ? { enabled: false }
        : {
            enabled: true,
            allow: ids,
            load: { paths: Object.values(plugins) },
            entries: Object.fromEntries(ids.map((id) => [id, { enabled: true }])),
          },
    discovery: { mdns: { mode: 'off' } },
    logging: { file: join(directory, 'file.log') },
  };
  writeFileSync(join(directory, 'openclaw.json'), JSON.stringify(config));
}

/** The environment of the gateway and of its command line. */
export function gatewayEnvironment(directory: string, token: string): Readonly<Record<string, string>> {
  return {
    PATH: `${dirname(process.execPath)}:${process.env['PATH']}`,
    HOME: join(directory, 'home'),
    TMPDIR: join(directory, 'tmp'),
    OPENCLAW_STATE_DIR: join(directory, 'state'),
    OPENCLAW_CONFIG_PATH: join(directory, 'openclaw.json'),
    OPENCLAW_GATEWAY_TOKEN: token,
    OPENCLAW_OFFLINE: '1',
    OPENCLAW_DISABLE_BONJOUR: '1',
    OPENCLAW_NO_RESPAWN: '1',
    OPENCLAW_NO_AUTO_UPDATE: '1',
    OPENCLAW_SKIP_CHANNELS: '1',
    OPENCLAW_SKIP_CRON: '1',
    NO_COLOR: '1',
  };
}
