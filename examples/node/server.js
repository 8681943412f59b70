// A minimal HTTP server on the inherited socket (fd 3) that tells its readiness on fd 4 and drains on TERM.
'use strict';
const fs = require('node:fs');
const http = require('node:http');

let stopping = false;
const server = http.createServer((request, response) => {
  const body = `hello from ${process.env.EVERCREW_WORKER ?? 'nobody'}, pid ${process.pid}\n`;
  const close = stopping ? { Connection: 'close' } : {};
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': Buffer.byteLength(body), ...close });
  response.end(body);
});
process.on('SIGTERM', () => {
  stopping = true;
  server.close();
  server.closeIdleConnections();
});
server.listen({ fd: 3 }, () => fs.writeSync(4, 'ready\n'));
