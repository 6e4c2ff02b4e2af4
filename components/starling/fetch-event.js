addEventListener('fetch', (event) => event.respondWith(new Response('Hello from StarlingMonkey!\n', { headers: { 'content-type': 'text/plain' } })));
