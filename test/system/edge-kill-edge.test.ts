import { test } from 'uvu';
import { killInEveryPhase } from './edge-phases.ts';
import { cleanUp } from './node.ts';

test.after(cleanUp);

test('edge: when the edge is killed, whatever the edge is asking for, it ends with what the origin has', () => killInEveryPhase('edge'));

test.run();
