import { request } from 'node:http';

/** What a client asked for, and got. */
export type Transfer = { id: number; from: number; to: number; amount: number; acknowledged: string | undefined };

export type Ledger = {
  readonly transfers: readonly Transfer[];
  /** Asks on until all transfers so far are acknowledged. */
  settle(): Promise<void>;
  stop(): Promise<void>;
};

export type LedgerOptions = {
  /** Where the function answers now; undefined while the node is away. */
  url: () => string | undefined;
  clients: number;
  accounts: number;
  random: () => number;
};

const post = (url: string, key: string): Promise<{ status: number; text: string } | undefined> =>
  new Promise((resolve) => {
    const outgoing = request(url, { method: 'POST', headers: { 'idempotency-key': key }, agent: false, timeout: 10_000 }, (incoming) => {
      let text = '';
      incoming.on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text }));
      incoming.on('error', () => resolve(undefined));
      incoming.on('close', () => resolve(undefined));
    });
    outgoing.on('error', () => resolve(undefined));
    outgoing.on('timeout', () => outgoing.destroy());
    outgoing.end();
  });

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Clients that move money between accounts, one transfer after the other, and repeat each under its key until it is
 * acknowledged, whatever happens to the node.
 */
export const runLedger = ({ url, clients, accounts, random }: LedgerOptions): Ledger => {
  const transfers: Transfer[] = [];
  let going = true;
  let settling = false;

  const acknowledge = async (transfer: Transfer): Promise<void> => {
    const query = `from=${transfer.from}&to=${transfer.to}&amount=${transfer.amount}&id=${transfer.id}`;
    while (transfer.acknowledged === undefined && (going || settling)) {
      const base = url();
      const answer = base === undefined ? undefined : await post(`${base}?${query}`, `transfer-${transfer.id}`);
      if (answer?.status === 200) transfer.acknowledged = answer.text;
      else await sleep(5 + random() * 20);
    }
  };

  const client = async (): Promise<void> => {
    while (going) {
      const from = Math.floor(random() * accounts);
      const to = (from + 1 + Math.floor(random() * (accounts - 1))) % accounts;
      const transfer: Transfer = { id: transfers.length, from, to, amount: 1 + Math.floor(random() * 5), acknowledged: undefined };
      transfers.push(transfer);
      await acknowledge(transfer);
    }
  };

  const working = Promise.all(Array.from({ length: clients }, client));
  return {
    transfers,
    settle: async () => {
      settling = true;
      going = false;
      await working;
      await Promise.all(transfers.map(acknowledge));
    },
    stop: async () => {
      settling = false;
      going = false;
      await working;
    },
  };
};
