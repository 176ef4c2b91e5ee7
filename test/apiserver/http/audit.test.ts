import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { AuditLog } from '../../../src/apiserver/http/audit.ts';
import { CORE, DEFAULT, SECRET, SECRET_BASE64, World } from '../access/support.ts';

interface Line {
  readonly [field: string]: unknown;
  readonly stage: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly responseStatus?: { readonly code: number };
}

/** Empty while the file is being put aside; without the line that is just being written. */
const linesOf = (file: string): Line[] =>
  (existsSync(file) ? readFileSync(file, 'utf8') : '')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

/** Waits until the log shows what is wanted; the deadline only says how long a failure takes. */
async function until<T>(ask: () => T | undefined): Promise<T> {
  const end = performance.now() + 30_000;
  for (;;) {
    const answer = ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error('gave up waiting for the audit log');
    await delay(20);
  }
}

describe('audit log', function () {
  this.timeout(120_000);
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-audit-'));
    file = join(directory, 'audit.log');
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  describe('of a server', () => {
    let world: World;
    beforeEach(async () => {
      world = await World.start({ auditLog: file });
      await world.fill();
    });
    afterEach(() => world.end());

    const find = (stage: string, start: string, code: number): Promise<Line> =>
      until(() =>
        linesOf(file).find(
          (line) => line.stage === stage && line.requestURI.startsWith(start) && line.responseStatus?.code === code,
        ),
      );

    it('says who did what, when, from where, and how it was decided', async () => {
      const viewer = world.byToken('viewer', 'vera');
      await viewer.ask(`${DEFAULT}/volumes/mine?pretty=0`, { headers: { 'user-agent': 'kubectl/v1.34' } });
      const line = await find('ResponseComplete', `${DEFAULT}/volumes/mine?pretty=0`, 200);
      expect(line).to.deep.include({
        kind: 'Event',
        apiVersion: 'audit.k8s.io/v1',
        level: 'Metadata',
        verb: 'get',
        user: { username: 'vera', groups: ['clawstore:viewers', 'system:authenticated'] },
        sourceIPs: ['127.0.0.1'],
        userAgent: 'kubectl/v1.34',
        objectRef: {
          resource: 'volumes',
          namespace: 'default',
          name: 'mine',
          apiGroup: 'storage.clawbernetes.io',
          apiVersion: 'v1alpha1',
        },
        annotations: { 'authorization.k8s.io/decision': 'allow' },
      });
      expect(line['auditID']).to.match(/^[0-9a-f-]{36}$/);
      for (const time of ['requestReceivedTimestamp', 'stageTimestamp']) {
        expect(line[time]).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
      }
      expect(statSync(file).mode & 0o777).to.equal(0o600);
    });

    it('says what was refused, and to whom', async () => {
      await world.byToken('viewer', 'vera').ask(`${CORE}/secrets/of-mine`);
      const refused = await find('ResponseComplete', `${CORE}/secrets/of-mine`, 403);
      expect(refused['annotations']).to.deep.equal({ 'authorization.k8s.io/decision': 'forbid' });
      await world.client({ token: 'guess' }).ask('/api/v1/pods');
      expect((await find('ResponseComplete', '/api/v1/pods', 401))['user']).to.deep.equal({});
      const as = { 'impersonate-user': 'vera', 'impersonate-group': 'clawstore:viewers' };
      await world.admin.ask(`${CORE}/secrets?limit=7`, { headers: as });
      const taken = await find('ResponseComplete', `${CORE}/secrets?limit=7`, 403);
      expect(taken['user']).to.include({ username: 'clawstore-admin' });
      expect(taken['impersonatedUser']).to.include({ username: 'vera' });
    });

    it('shows a watch when it begins and when it ends', async () => {
      const path = `${DEFAULT}/volumes?watch=1&timeoutSeconds=1`;
      const watching = world.admin.ask(path);
      const started = await find('ResponseStarted', path, 200);
      await watching;
      const ended = await find('ResponseComplete', path, 200);
      expect(started['auditID']).to.equal(ended['auditID']);
      expect(started.verb).to.equal('watch');
    });

    it('holds no body, no Secret, no token, and nothing of health checks', async () => {
      await world.admin.ask(`${CORE}/secrets/of-mine`);
      await world.admin.ask('/readyz');
      await find('ResponseComplete', `${CORE}/secrets/of-mine`, 200);
      const text = readFileSync(file, 'utf8');
      for (const secret of [SECRET, SECRET_BASE64, world.server.adminToken]) expect(text).to.not.include(secret);
      expect(text).to.not.include('readyz');
    });
  });

  describe('of its own', () => {
    let server: Server;
    let audit: AuditLog;
    const reports: string[] = [];
    const listen = async (to: string, limits: { maxBytes?: number; maxWaiting?: number }): Promise<void> => {
      reports.length = 0;
      const report = (message: string, error?: Error): void => {
        reports.push(error === undefined ? message : `${message}: ${error.message}`);
      };
      audit = new AuditLog({ file: to, clock: { now: () => Date.now() }, report, ...limits });
      server = createServer((request, response) => {
        audit.begin(request, response);
        response.end('ok');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    };
    afterEach(async () => {
      await audit.close();
      await new Promise((resolve) => server.close(resolve));
    });
    const ask = async (count: number): Promise<void> => {
      const { port } = server.address() as AddressInfo;
      for (let i = 0; i < count; i++) {
        const response = await fetch(`http://127.0.0.1:${port}/${i}?${'x'.repeat(500)}`);
        expect(await response.text()).to.equal('ok');
      }
    };

    it('stays below its size, in whole lines', async () => {
      await listen(file, { maxBytes: 20_000 });
      await ask(200);
      await until(() => (linesOf(file).some(({ requestURI }) => requestURI.startsWith('/199')) ? true : undefined));
      for (const name of [file, `${file}.1`, `${file}.2`]) {
        expect(statSync(name).size, name).to.be.within(1, 20_000);
        // Each line can be read by itself. How many there are depends on how many were written at once.
        expect(linesOf(name).length, name).to.be.above(0);
      }
      expect(existsSync(`${file}.3`)).to.equal(false);
      expect(reports).to.deep.equal([]);
    });

    it('costs no answer when the disk is full, says so once, and goes on when there is room', async () => {
      const disk = join(directory, 'disk');
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
      try {
        const full = join(disk, 'audit.log');
        await listen(full, { maxWaiting: 30_000 });
        try {
          writeFileSync(join(disk, 'filler'), Buffer.alloc(128 * 1024));
        } catch {
          // The disk is full now.
        }
        await ask(200);
        await until(() => (reports.length > 0 ? true : undefined));
        expect(reports).to.have.length(1);
        expect(reports[0]).to.match(/cannot be written; requests go on without it: /);
        rmSync(join(disk, 'filler'));
        await until(() => (reports.length > 1 ? true : undefined));
        expect(reports[1]).to.match(/is written again; [1-9]\d* lines were lost/);
        expect(linesOf(full).length).to.be.above(10);
        await ask(1);
        await until(() => (linesOf(full).length > 11 ? true : undefined));
        await audit.close();
      } finally {
        execFileSync('umount', [disk]);
      }
    });

    it('is an error at the start where there can be none', async () => {
      await listen(file, {});
      const options = { clock: { now: () => 0 }, report: () => undefined };
      expect(() => new AuditLog({ file: join(directory, 'no/such'), ...options })).to.throw('ENOENT');
    });
  });
});
