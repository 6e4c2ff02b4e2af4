/**
 * CPU time that this thread has used, in milliseconds, exact to a clock tick of the system (4 ms on Linux as a rule). What must be quick is
 * measured by it: the time of day goes on while a busy machine runs others.
 */
export const threadCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};
