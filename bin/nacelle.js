#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runOnNode26 } from './runtime.js';

// A checkout has the sources; an installed package has what was built of them.
const source = fileURLToPath(new URL('../host/cli/main.ts', import.meta.url));
const built = fileURLToPath(new URL('../dist/host/cli/main.js', import.meta.url));
runOnNode26(existsSync(source) ? source : built, process.argv.slice(2));
