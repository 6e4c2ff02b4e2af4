// A Hono app in QuickJS: JSON by path and query, JSON echo, a wait, a count in memory, an error.
import { Hono } from 'hono';

let count = 0;

const app = new Hono();
app.get('/', (c) => c.text('Hello from Hono!\n'));
app.get('/json/:id', (c) => c.json({ id: c.req.param('id'), q: c.req.query('q') ?? null }));
app.post('/echo', async (c) => c.json({ got: await c.req.json(), agent: c.req.header('user-agent') ?? null }));
app.get('/wait', async (c) => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  return c.text('waited\n');
});
app.get('/count', (c) => c.json({ count: ++count }));
app.get('/error', () => {
  throw new Error('asked to fail');
});

/** Builds the router now, at build time, so that it is part of the fresh state of every request. */
app.router.match('GET', '/');

export default app;
