// JavaScript in QuickJS: answers every request with a line of text.
export default { fetch: () => new Response('Hello from JavaScript!\n') };
