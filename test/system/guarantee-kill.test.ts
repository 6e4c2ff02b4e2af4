/** The bank under kill -9. More rounds: `KILLS=200`. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openStoreReader } from '../../host/store/lmdb/store.ts';
import { type Ledger, runLedger } from './ledger.ts';
import { cleanUp, freshDirectory, sleep, startTestNode, type TestNode, until } from './node.ts';

const kills = Number(process.env.KILLS ?? 3);
const accounts = 100;
const clients = 16;

let node: TestNode;
test.after(async () => {
  await node?.end();
  cleanUp();
});

/** Numbers under the keys of the bank, from the store itself when the node has ended. */
const valuesOf = async (data: string, prefix: string): Promise<Map<string, number>> => {
  const store = openStoreReader(data);
  const values = new Map<string, number>();
  const bank = 'default/state/bank/';
  let cursor: string | undefined;
  do {
    const page = await store.table.scan<Uint8Array>({ prefix: bank + prefix, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { key, value } of page.entries) values.set(key.slice(bank.length), Number(Buffer.from(value).toString()));
    cursor = page.next;
  } while (cursor !== undefined);
  await store.close();
  return values;
};

/** Every account has what the transfers come to, and each transfer was applied once. */
const assertExact = async (data: string, ledger: Ledger): Promise<void> => {
  const wanted = new Map<string, number>();
  for (const { from, to, amount } of ledger.transfers) {
    for (const [account, change] of [
      [from, -amount],
      [to, amount],
    ] as const)
      wanted.set(`account-${account}`, (wanted.get(`account-${account}`) ?? 1000) + change);
  }
  const applied = await valuesOf(data, 'transfer-');
  assert.is(applied.size, ledger.transfers.length, 'transfers applied');
  assert.equal([...new Set(applied.values())], [1], 'how often each transfer was applied');
  const found = await valuesOf(data, 'account-');
  assert.equal(new Map([...found].sort()), new Map([...wanted].sort()));
};

const acknowledgedIn = ({ transfers }: Ledger): number => transfers.filter((transfer) => transfer.acknowledged !== undefined).length;

for (const fleet of ['resident', 'on-demand'] as const) {
  test(`guarantee: ${kills} times kill -9 under load, and each transfer is applied once, ${fleet}`, async () => {
    const data = freshDirectory();
    let url: string | undefined;
    node = await startTestNode({ data });
    await node.deploy('bank', 'transfer', { capabilities: { keyvalue: { '': 'bank' } }, capacity: { fleet }, guarantee: { retries: 10 } });
    url = `${node.url}/bank/`;
    const ledger = runLedger({ url: () => url, clients, accounts, random: Math.random });
    let acknowledged = 0;
    try {
      for (let kill = 0; kill < kills; kill++) {
        const before = acknowledgedIn(ledger);
        await until(() => acknowledgedIn(ledger) > before || undefined, 'another transfer', 30_000);
        await sleep(Math.random() * 400);
        await node.end('SIGKILL');
        url = undefined;
        node = await startTestNode({ data });
        url = `${node.url}/bank/`;
      }
      acknowledged = acknowledgedIn(ledger);
      await ledger.settle();
    } finally {
      await ledger.stop();
    }
    assert.ok(acknowledged >= kills, `${acknowledged} of ${ledger.transfers.length} transfers acknowledged between ${kills} kills`);
    await node.end();
    await assertExact(data, ledger);
  });
}

test.run();
