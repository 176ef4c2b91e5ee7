import type { Handlers } from '../helper/registry.ts';
import type { QuotaOperations } from './operations.ts';
import { clearProject, inspectProject, limitProject } from './project-quota.ts';

/** Which function answers which request about project quotas. */
export const QUOTA_HANDLERS: Handlers<QuotaOperations> = {
  inspectProject: { run: inspectProject, paths: ({ path }) => [path] },
  limitProject: { run: limitProject, paths: ({ path }) => [path] },
  clearProject: { run: clearProject, paths: ({ path }) => [path] },
};
