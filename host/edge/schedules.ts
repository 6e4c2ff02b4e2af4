import type { RouteTable } from '../deploy/route-table.ts';

/** The table without what a clock starts: schedules run at the origin, or each edge would run them once more. */
export const withoutSchedules = (table: RouteTable): RouteTable => ({
  ...table,
  functions: table.functions.map((version) => (version.events ? { ...version, events: version.events.filter((event) => !('cron' in event)) } : version)),
});
