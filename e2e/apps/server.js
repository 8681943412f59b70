// The smallest node program: /, /pid and /slow?ms=N on the inherited fd 3. TERM drains.
// With READY_FD set, readiness is a line on that descriptor.
'use strict';
const fs = require('node:fs');
const http = require('node:http');

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const send = (status, body) => {
    response.writeHead(status, {
      'Content-Type': 'text/plain',
      'Content-Length': Buffer.byteLength(body),
      ...(stopping ? { Connection: 'close' } : {}),
    });
    response.end(body);
  };
  if (url.pathname === '/') send(200, 'hello\n');
  else if (url.pathname === '/pid') send(200, `${process.pid}\n`);
  else if (url.pathname === '/slow') {
    setTimeout(() => send(200, 'hello\n'), Math.min(Number(url.searchParams.get('ms') ?? 300), 60_000));
  } else send(404, 'not found\n');
});

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    stopping = true;
    server.close();
    server.closeIdleConnections();
  });
}
server.listen({ fd: 3 }, () => {
  if (process.env.READY_FD) fs.writeSync(Number(process.env.READY_FD), 'ready\n');
});
