// The smallest node program: /, /pid, /slow?ms=N and /spin on the inherited fd 3, or on PORT of the loopback. TERM drains.
// With READY_FD set, readiness is a line on that descriptor. With NOTIFIER set (the words of a command that sends lines
// to NOTIFY_SOCKET, as node itself cannot), readiness and beats from the event loop go there.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const { spawn } = require('node:child_process');

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
  } else if (url.pathname === '/spin') for (;;);
  else send(404, 'not found\n');
});

let stopping = false;
let notifier;
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    stopping = true;
    notifier?.stdin.end();
    server.close();
    server.closeIdleConnections();
  });
}

function notify(line) {
  if (!stopping) notifier.stdin.write(`${line}\n`);
}

const inherited = process.env.LISTEN_PID === String(process.pid);
server.listen(inherited ? { fd: 3 } : { host: '127.0.0.1', port: Number(process.env.PORT) }, () => {
  console.log('server.js: listening');
  if (process.env.READY_FD) fs.writeSync(Number(process.env.READY_FD), 'ready\n');
  if (process.env.NOTIFIER) {
    const [program, ...words] = process.env.NOTIFIER.split(' ');
    notifier = spawn(program, words, { stdio: ['pipe', 'inherit', 'inherit'] });
    notify('READY=1');
    if (process.env.WATCHDOG_USEC) setInterval(notify, Number(process.env.WATCHDOG_USEC) / 2000, 'WATCHDOG=1').unref();
  }
});
