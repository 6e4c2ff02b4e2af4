// Loaded before the program by runOnNode26: when the launcher is gone, even by kill -9, the program is asked to end, and then made to.
const GRACE_MS = 10_000;

if (process.channel) {
  process.on('disconnect', () => {
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(143), GRACE_MS).unref();
  });
  process.channel.unref();
}
