// Preloaded into workers of a cluster (`cluster.drain_hook`). Does nothing until this worker is about to be replaced. From
// then on every answer closes its connection, and connections that wait for their next request get a moment to send it
// before they are closed: so no request meets a closed connection.
'use strict';

const GRACE = 2000;
let isDraining = false;

try {
  // Held, so that it is not collected with the listener.
  const begins = require('diagnostics_channel').channel('http.server.request.start');
  begins.subscribe(({ response }) => {
    if (isDraining) response.shouldKeepAlive = false;
  });
  module.exports = begins;
} catch {
  // A version without it: connections are closed as it does that by itself.
}

function drain() {
  isDraining = true;
  const end = Date.now() + GRACE;
  for (const name of ['http', 'https']) {
    const servers = require(name).Server.prototype;
    const closeIdle = servers.closeIdleConnections;
    if (!closeIdle) continue;
    const waiting = new Set();
    servers.closeIdleConnections = function closeIdleConnections() {
      if (Date.now() < end) waiting.add(this);
      else closeIdle.call(this);
    };
    setTimeout(() => waiting.forEach((server) => closeIdle.call(server)), GRACE).unref();
  }
}

process.prependListener('internalMessage', (message) => {
  const isEnd = message && (message.cmd === 'NODE_PM_DRAIN' || message.act === 'disconnect');
  if (isEnd && !isDraining) drain();
});
