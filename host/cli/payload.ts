import { type ControlClient, checked } from './client.ts';
import type { Context } from './command.ts';

/** The bytes at a URL of the control API. */
export const payloadAt = async ({ send }: Pick<ControlClient, 'send'>, url: URL): Promise<Uint8Array> =>
  new Uint8Array(await (await checked(await send(url, {}))).arrayBuffer());

// A terminal takes commands from what is printed.
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
const unprintable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

/** A payload as it is shown: text as it is, of anything else what it is. */
export const shownPayload = (bytes: Uint8Array, contentType: string | null): string => {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!unprintable.test(text)) return text;
  } catch {
    // It is no text.
  }
  return `(${bytes.length} bytes${contentType === null ? '' : ` of ${contentType}`} that are no text; "--payload" prints them)`;
};

export const payloadOption = { payload: { type: 'boolean', description: 'Print the payload alone, byte by byte.' } } as const;

/** Prints the payload alone, where it was asked for. */
export const printsPayload = async ({ options, terminal }: Pick<Context, 'options' | 'terminal'>, client: ControlClient, url: URL): Promise<boolean> => {
  if (!options.flag('payload')) return false;
  terminal.out(await payloadAt(client, url));
  return true;
};
