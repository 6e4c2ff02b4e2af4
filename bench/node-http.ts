// A bare node:http server in several threads that share a port: what HTTP alone costs. Usage: node-http.ts PORT THREADS
import { createServer } from 'node:http';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

if (isMainThread) {
  const [port, threads] = process.argv.slice(2).map(Number);
  for (let i = 0; i < (threads ?? 1); i++) new Worker(new URL(import.meta.url), { workerData: port });
} else {
  const body = 'Hello from node:http!\n';
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': body.length });
    response.end(body);
  });
  server.listen({ port: workerData as number, host: '127.0.0.1', reusePort: true });
}
