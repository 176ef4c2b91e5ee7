/**
 * Every metric of the product, by name, in one place. Names and labels of the first three groups are
 * controller-runtime's and client-go's, so that existing dashboards and alerts work.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Buckets of controller-runtime for reconcile time, in seconds. */
const RECONCILE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Decades from 10 ns to 10 s, as client-go's work queue has them; below 1 µs nothing can be told apart here. */
const QUEUE_BUCKETS = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 60];
const OPERATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** For work that may copy a whole volume, in seconds. */
const LONG_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200];

/** From 1 KiB to 16 TiB. */
const SIZE_BUCKETS = Array.from({ length: 18 }, (_, index) => 1024 * 4 ** index);

/** The results a reconcile may have; each exists at 0 from the start. */
export const RECONCILE_RESULTS = ['success', 'requeue_after', 'error', 'terminal'] as const;
export type ReconcileResult = (typeof RECONCILE_RESULTS)[number];

/** The metrics of one process (or of one test). */
export type Metrics = ReturnType<typeof createMetrics>;

/** Makes a registry with every metric of ours registered in it. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []) =>
    new Histogram<L>({ name, help, buckets, labelNames, registers });

  /** Called before each scrape, to bring gauges up to date that change by the mere passing of time. */
  const beforeScrape = new Set<() => void>();
  const refreshed = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name, help, labelNames, registers, collect: () => beforeScrape.forEach((refresh) => refresh()) });

  /** Called before the gauges of schedules and nodes are read, which say what the objects do. */
  const beforeObjects = new Set<() => void>();
  const SCHEDULE = ['kind', 'namespace', 'schedule'] as const;

  return {
    registry,
    beforeScrape,
    beforeObjects,

    // Metrics are read in the order in which they are made here: this one brings those below up to date.
    nodeReady: new Gauge<'node'>({
      name: 'clawstore_node_ready',
      help: 'Whether the node is Ready (1) or not, or lost (0).',
      labelNames: ['node'],
      registers,
      collect: () => beforeObjects.forEach((refresh) => refresh()),
    }),
    scheduleReady: gauge(
      'clawstore_schedule_ready',
      'Whether the schedule can be kept to (1) or is invalid or paused (0).',
      SCHEDULE,
    ),
    scheduleSuspended: gauge('clawstore_schedule_suspended', 'Whether the schedule starts no runs.', SCHEDULE),
    scheduleCreated: gauge('clawstore_schedule_created_timestamp_seconds', 'When the schedule was made.', SCHEDULE),
    scheduleInterval: gauge(
      'clawstore_schedule_interval_seconds',
      'The longest time between two of the next runs; absent while the schedule is invalid.',
      SCHEDULE,
    ),
    scheduleLastSuccess: gauge(
      'clawstore_schedule_last_success_timestamp_seconds',
      'When the latest run that succeeded was done; absent before the first.',
      SCHEDULE,
    ),
    scheduleLastMissed: gauge(
      'clawstore_schedule_last_missed_timestamp_seconds',
      'The latest time that passed without a run; absent where none did.',
      SCHEDULE,
    ),
    scheduleLastRunFailed: gauge(
      'clawstore_schedule_last_run_failed',
      'Whether the latest run that has ended failed (1) or not (0).',
      SCHEDULE,
    ),
    scheduleActive: gauge('clawstore_schedule_active_runs', 'Runs of the schedule that have not finished.', SCHEDULE),
    backupLastSuccess: gauge(
      'clawstore_backup_last_success_timestamp_seconds',
      'When the newest backup that succeeded ended, by namespace and schedule; the schedule is empty for those made by hand.',
      ['namespace', 'schedule'],
    ),

    reconcileTotal: counter('controller_runtime_reconcile_total', 'Reconciles per controller and result.', [
      'controller',
      'result',
    ]),
    reconcileErrors: counter('controller_runtime_reconcile_errors_total', 'Reconciles that failed.', ['controller']),
    terminalErrors: counter(
      'controller_runtime_terminal_reconcile_errors_total',
      'Reconciles that failed in a way that only a person can mend.',
      ['controller'],
    ),
    panics: counter('controller_runtime_reconcile_panics_total', 'Reconciles that threw a programming error.', [
      'controller',
    ]),
    timeouts: counter('controller_runtime_reconcile_timeouts_total', 'Reconciles that overran their deadline.', [
      'controller',
    ]),
    reconcileTime: histogram('controller_runtime_reconcile_time_seconds', 'Time per reconcile.', RECONCILE_BUCKETS, [
      'controller',
    ]),
    activeWorkers: gauge('controller_runtime_active_workers', 'Workers busy at the moment.', ['controller']),
    maxConcurrent: gauge('controller_runtime_max_concurrent_reconciles', 'Workers there may be at most.', [
      'controller',
    ]),

    queueDepth: gauge('workqueue_depth', 'Keys that wait to be worked on.', ['name', 'controller']),
    queueAdds: counter('workqueue_adds_total', 'Keys added to the queue.', ['name', 'controller']),
    queueDuration: histogram('workqueue_queue_duration_seconds', 'How long a key waits in the queue.', QUEUE_BUCKETS, [
      'name',
      'controller',
    ]),
    workDuration: histogram('workqueue_work_duration_seconds', 'How long working on a key takes.', QUEUE_BUCKETS, [
      'name',
      'controller',
    ]),
    unfinishedWork: refreshed('workqueue_unfinished_work_seconds', 'Sum of the ages of all work in progress.', [
      'name',
      'controller',
    ]),
    longestRunning: refreshed('workqueue_longest_running_processor_seconds', 'Age of the oldest work in progress.', [
      'name',
      'controller',
    ]),
    queueRetries: counter('workqueue_retries_total', 'Keys added again by the rate limiter.', ['name', 'controller']),

    restRequests: counter('rest_client_requests_total', 'Requests to the API server by status and method.', [
      'code',
      'method',
    ]),
    leaderStatus: gauge('leader_election_master_status', 'Whether this process leads (1) or not (0).', ['name']),

    reflectorTransitions: counter(
      'clawstore_reflector_transitions_total',
      'Changes of state of the watches: list, watch, closed, expired, idle, error and so on.',
      ['resource', 'transition'],
    ),
    reflectorObjects: gauge('clawstore_reflector_objects', 'Objects held in the cache of a watch.', ['resource']),
    events: counter('clawstore_events_total', 'Events by what became of them: created, patched, dropped, failed.', [
      'outcome',
    ]),

    volumeReady: gauge('clawstore_volume_ready', 'Whether the volume is Ready (1) or not (0).', ['namespace', 'name']),
    volumeCapacity: gauge('clawstore_volume_capacity_bytes', 'Size of the volume in force.', ['namespace', 'name']),
    volumeUsed: gauge('clawstore_volume_used_bytes', 'Bytes used on the volume.', ['namespace', 'name']),
    mountHealthy: gauge('clawstore_mount_healthy', 'Whether the mount is there and right (1) or not (0).', [
      'namespace',
      'name',
    ]),
    mountOperation: histogram(
      'clawstore_mount_operation_duration_seconds',
      'Time per storage operation of a driver.',
      OPERATION_BUCKETS,
      ['driver', 'operation', 'result'],
    ),
    snapshotDuration: histogram(
      'clawstore_snapshot_duration_seconds',
      'Time to take a snapshot, from its turn until it is on disk.',
      LONG_BUCKETS,
      ['driver', 'result'],
    ),
    backupDuration: histogram(
      'clawstore_backup_duration_seconds',
      'Time from the start of a backup until its end, by result: success, partial, failure.',
      LONG_BUCKETS,
      ['result'],
    ),
    backupBytes: histogram('clawstore_backup_bytes', 'Bytes read by a backup, by result.', SIZE_BUCKETS, ['result']),
    backupUploadedBytes: histogram(
      'clawstore_backup_uploaded_bytes',
      'Bytes that a backup added to its repository, by result.',
      SIZE_BUCKETS,
      ['result'],
    ),
    repositoryReady: gauge(
      'clawstore_repository_ready',
      'Whether the repository can be reached, opened and relied on (1) or not (0).',
      ['namespace', 'name'],
    ),
    repositoryKeyExported: gauge(
      'clawstore_repository_key_exported',
      'Whether the key of the repository is kept elsewhere, too (1) or not (0).',
      ['namespace', 'name'],
    ),
    repositoryVerified: gauge(
      'clawstore_repository_verified',
      'Whether the last check found nothing wrong (1) or damage (0); absent where none was made.',
      ['namespace', 'name'],
    ),
    repositorySize: gauge('clawstore_repository_size_bytes', 'Bytes stored in the repository.', ['namespace', 'name']),
    repositoryBackups: gauge('clawstore_repository_backups', 'Whole backups in the repository, of whomever.', [
      'namespace',
      'name',
    ]),
    repositoryLastCheck: gauge(
      'clawstore_repository_last_check_timestamp_seconds',
      'When the repository was last checked.',
      ['namespace', 'name'],
    ),
    restoreDuration: histogram(
      'clawstore_restore_duration_seconds',
      'Time to restore from a backup, from when it was begun until all of it was read back.',
      LONG_BUCKETS,
      ['result'],
    ),
    remounts: counter('clawstore_mount_remounts_total', 'Mounts that were made again, by what was wrong.', ['reason']),
    openClawConnected: gauge(
      'clawstore_openclaw_connected',
      'Whether the node has joined the OpenClaw gateway (1) or not (0).',
      ['gateway'],
    ),
    openClawInvokes: counter('clawstore_openclaw_invokes_total', 'Commands invoked through the OpenClaw gateway.', [
      'command',
      'result',
    ]),
    openClawInvokeTime: histogram(
      'clawstore_openclaw_invoke_duration_seconds',
      'Time from an invocation through the OpenClaw gateway to its answer.',
      OPERATION_BUCKETS,
      ['command'],
    ),
    syncReady: gauge(
      'clawstore_sync_ready',
      'Whether the control plane is equal to the source of clawstore up --sync (1) or not (0).',
      ['source'],
    ),
    syncLastSuccess: gauge(
      'clawstore_sync_last_success_timestamp_seconds',
      'When the control plane was last found, or made, equal to the source of clawstore up --sync.',
      ['source'],
    ),
    syncRevision: gauge(
      'clawstore_sync_revision_info',
      'Always 1; the labels tell the commit, or the hash of the folder, that was read last.',
      ['source', 'revision'],
    ),
    syncObjects: gauge('clawstore_sync_objects', 'Objects in the source.', ['source']),
    syncProblems: gauge('clawstore_sync_problems', 'Files and objects that could not be read, applied or deleted.', [
      'source',
    ]),
    syncFailures: counter('clawstore_sync_failures_total', 'Rounds of the sync that did not end well.', [
      'source',
      'reason',
    ]),
    syncPruned: counter('clawstore_sync_pruned_total', 'Objects that left the source and were asked to go.', [
      'source',
    ]),
    buildInfo: gauge('clawstore_build_info', 'Always 1; the labels tell the build.', ['version', 'node_version']),
  };
}
