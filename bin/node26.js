#!/usr/bin/env node
// Runs a TypeScript file on the Node that the lock file names, whatever Node started this: `node bin/node26.js FILE [ARGS]`.
import { runOnNode26 } from './runtime.js';

const [file, ...args] = process.argv.slice(2);
runOnNode26(file, args);
