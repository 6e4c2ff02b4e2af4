#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { runOnNode26 } from './runtime.js';

runOnNode26(fileURLToPath(new URL('../host/cli/main.ts', import.meta.url)), process.argv.slice(2));
