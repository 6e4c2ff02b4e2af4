import type { Command } from './command.ts';
import { deploy } from './commands/deploy.ts';
import { explain } from './commands/explain.ts';
import { invoke } from './commands/invoke.ts';
import { logs } from './commands/logs.ts';
import { ls } from './commands/ls.ts';
import { promote } from './commands/promote.ts';
import { rm } from './commands/rm.ts';
import { rollback } from './commands/rollback.ts';
import { secretsLs, secretsPut, secretsRm } from './commands/secrets.ts';
import { serve } from './commands/serve.ts';
import { show } from './commands/show.ts';
import { tenantsAdd, tenantsLs, tenantsResume, tenantsRm, tenantsSuspend } from './commands/tenants.ts';
import { tokensAdd, tokensLs, tokensRm } from './commands/tokens.ts';
import { versions } from './commands/versions.ts';

/** Every command, in the order of help. */
export const commands: readonly Command[] = [
  serve,
  deploy,
  ls,
  show,
  versions,
  promote,
  rollback,
  rm,
  secretsPut,
  secretsLs,
  secretsRm,
  invoke,
  logs,
  explain,
  tenantsAdd,
  tenantsLs,
  tenantsSuspend,
  tenantsResume,
  tenantsRm,
  tokensAdd,
  tokensLs,
  tokensRm,
];
