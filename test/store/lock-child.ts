// A process that locks a data directory, says so and waits to be killed; it ends when the directory is in use.
import { lockData } from '../../host/store/data-lock.ts';

try {
  lockData(process.argv[2] as string);
  console.log('locked');
  setInterval(() => {}, 1000);
} catch {
  process.exitCode = 3;
}
