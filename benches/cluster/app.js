// Says on the FIFO that it listens, and answers; `?ms=` = after so long.
'use strict';
const fs = require('fs');
const http = require('http');

http
  .createServer((request, response) => {
    const wait = /[?&]ms=(\d+)/.exec(request.url);
    if (wait) setTimeout(() => response.end('hello'), Number(wait[1]));
    else response.end('hello');
  })
  .listen(Number(process.env.PORT), '127.0.0.1', () => {
    const message = Buffer.alloc(16);
    message.writeBigUInt64LE(BigInt(process.pid));
    const fifo = fs.openSync(process.env.FIFO, 'w');
    fs.writeSync(fifo, message);
    fs.closeSync(fifo);
  });
