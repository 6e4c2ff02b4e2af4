import type { Command } from './command.ts';
import { build } from './commands/build.ts';
import { deadLettersDrop, deadLettersLimit, deadLettersLs, deadLettersQueues, deadLettersRedrive, deadLettersShow } from './commands/dead-letters.ts';
import { decisions } from './commands/decisions.ts';
import { deploy } from './commands/deploy.ts';
import { edgesDrain, edgesLs, edgesRm, edgesShow } from './commands/edges.ts';
import { eventsLs, eventsRm, eventsSend, eventsShow } from './commands/events.ts';
import { explain } from './commands/explain.ts';
import { invoke } from './commands/invoke.ts';
import { logs } from './commands/logs.ts';
import { ls } from './commands/ls.ts';
import { objectsGet, objectsLs, objectsPut, objectsRm } from './commands/objects.ts';
import { objectsExplain } from './commands/objects-explain.ts';
import { promote } from './commands/promote.ts';
import { resources, stateRevoke } from './commands/resources.ts';
import { result } from './commands/result.ts';
import { rm } from './commands/rm.ts';
import { rollback } from './commands/rollback.ts';
import { rolloutAbort, rolloutAdvance, rolloutShow } from './commands/rollout.ts';
import { secretsLs, secretsPut, secretsRm } from './commands/secrets.ts';
import { serve } from './commands/serve.ts';
import { sessions } from './commands/sessions.ts';
import { show } from './commands/show.ts';
import { sidecarsAdd, sidecarsLs, sidecarsRm, sidecarsShow } from './commands/sidecars.ts';
import { stateGet, stateLs, statePut, stateRm } from './commands/state.ts';
import { tenantsAdd, tenantsLimit, tenantsLs, tenantsReserve, tenantsResume, tenantsRm, tenantsSidecars, tenantsSuspend } from './commands/tenants.ts';
import { tokensAdd, tokensLs, tokensRm } from './commands/tokens.ts';
import { top } from './commands/top.ts';
import { versions } from './commands/versions.ts';

/** Every command, in the order of help. */
export const commands: readonly Command[] = [
  serve,
  build,
  deploy,
  ls,
  show,
  versions,
  promote,
  rollback,
  rolloutShow,
  rolloutAdvance,
  rolloutAbort,
  rm,
  secretsPut,
  secretsLs,
  secretsRm,
  sidecarsAdd,
  sidecarsLs,
  sidecarsShow,
  sidecarsRm,
  stateLs,
  stateGet,
  statePut,
  stateRm,
  stateRevoke,
  resources,
  sessions,
  objectsPut,
  objectsGet,
  objectsLs,
  objectsRm,
  objectsExplain,
  invoke,
  result,
  eventsSend,
  eventsLs,
  eventsShow,
  eventsRm,
  deadLettersLs,
  deadLettersShow,
  deadLettersRedrive,
  deadLettersDrop,
  deadLettersQueues,
  deadLettersLimit,
  logs,
  explain,
  decisions,
  top,
  tenantsAdd,
  tenantsLs,
  tenantsLimit,
  tenantsSuspend,
  tenantsResume,
  tenantsRm,
  tenantsReserve,
  tenantsSidecars,
  tokensAdd,
  tokensLs,
  tokensRm,
  edgesLs,
  edgesShow,
  edgesDrain,
  edgesRm,
];
