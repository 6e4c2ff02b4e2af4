// CPU time of a process and its children, from Linux's /proc. It tells what a request costs even on a machine that is busy
// with other things, where requests a second do not.
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const MS_PER_TICK = 10;

function childrenOf(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number));
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** Milliseconds of CPU time, user and system, that a process and its living descendants have used; NaN where there is no /proc. */
export function cpuMs(pid: number): number {
  try {
    return ticksOf(pid) * MS_PER_TICK + childrenOf(pid).reduce((sum, child) => sum + cpuMs(child), 0);
  } catch {
    return Number.NaN;
  }
}

function memoryMib(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = Number(status.split(`${field}:`)[1]?.trim().split(/\s/)[0] ?? 0);
  return kib / 1024 + childrenOf(pid).reduce((sum, child) => sum + memoryMib(child, field), 0);
}

/** Resident memory in MiB of a process and its living descendants. */
export const residentMib = (pid: number): number => memoryMib(pid, 'VmRSS');

/** The same without mapped files, which the system takes back as it needs. */
export const ownMib = (pid: number): number => memoryMib(pid, 'RssAnon');
