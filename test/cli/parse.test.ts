import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { UsageError } from '../../host/cli/command.ts';
import { commands } from '../../host/cli/commands.ts';
import { commandHelp, overview } from '../../host/cli/help.ts';
import { parseCommand } from '../../host/cli/parse.ts';

const parse = (...words: string[]) => parseCommand(commands, words);

function usage(...words: string[]): string {
  try {
    parse(...words);
  } catch (error) {
    assert.instance(error, UsageError);
    return (error as Error).message;
  }
  return 'accepted';
}

test('parseCommand: finds commands of one and of two words, options anywhere after', () => {
  const { command, parameters, options } = parse('secrets', 'put', '--json', 'orders', 'KEY', '--tenant=acme');
  assert.is(command.name, 'secrets put');
  assert.equal(parameters, ['orders', 'KEY']);
  assert.is(options.flag('json'), true);
  assert.is(options.text('tenant'), 'acme');
  assert.equal(parse('deploy', '--route', '/a/*', '--route', 'b.example').options.list('route'), ['/a/*', 'b.example']);
  assert.is(parse('logs', 'orders', '-f').options.flag('follow'), true);
});

test('parseCommand: says what is wrong, and what was likely meant', () => {
  assert.is(usage('dploy'), 'there is no command "dploy", did you mean "deploy"?');
  assert.is(usage('tokens', 'make'), 'there is no command "tokens make": use tokens add, tokens ls, tokens rm');
  assert.is(usage('ls', '--jason'), '"nacelle ls" has no option --jason, did you mean --json?');
  assert.is(usage('promote', 'orders'), '"nacelle promote" needs VERSION');
  assert.is(usage('show', 'a', 'b'), '"nacelle show" takes 1 parameters, got 2');
  assert.match(usage('deploy', '--name'), '--name');
  assert.match(usage('ls', '--json=yes'), '--json');
});

test('parseCommand: help needs no parameters', () => {
  assert.is(parse('show', '--help').options.flag('help'), true);
});

test('parseCommand: whatever the words, gives a command or says what is wrong', () => {
  const word = fc.oneof(
    fc.constantFrom(...commands.flatMap(({ name }) => name.split(' ')), '--json', '-f', '--', '--data', '--set=a=b', '--__proto__'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => {
      try {
        parseCommand(commands, words);
      } catch (error) {
        assert.instance(error, UsageError);
      }
    }),
    { numRuns: 500 },
  );
});

test('overview and commandHelp: name every command and every option', () => {
  for (const command of commands) {
    assert.ok(overview(commands).includes(command.name), command.name);
    for (const option of Object.keys(command.options)) assert.ok(commandHelp(command).includes(`--${option}`), option);
    assert.ok(command.summary.endsWith('.'), command.name);
  }
});

test.run();
