// Preloaded into workers of a cluster (`cluster.drain_hook`). Does nothing until this worker is asked for its metrics, or is
// about to be replaced. From then on every answer closes its connection, and connections that wait for their next request
// get a moment to send it before they are closed: so no request meets a closed connection.
'use strict';

const GRACE = 2000;
let isDraining = false;
// Copies of prom-client that were asked to answer.
const offered = new Set();
// Node itself listens, for `cluster.worker`.
const listeners = process.listenerCount('message');

// Only now: as long as nobody listens there, a request costs nothing.
function closeAfterEachAnswer() {
  try {
    const begins = require('diagnostics_channel').channel('http.server.request.start');
    begins.subscribe(({ response }) => {
      response.shouldKeepAlive = false;
    });
    // Held, so that it is not collected with the listener.
    module.exports = begins;
  } catch {
    // A version without it: connections are closed as it does that by itself.
  }
}

function drain() {
  isDraining = true;
  closeAfterEachAnswer();
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

// `pm metrics`: prom-client answers a primary once it is asked to; here it is, even if the app has not.
function askForMetrics(requestId) {
  try {
    for (const path of Object.keys(require.cache)) {
      if (!offered.has(path) && /[\\/]prom-client[\\/]index\.js$/.test(path)) {
        offered.add(path);
        new (require.cache[path].exports.AggregatorRegistry)();
      }
    }
  } catch {
    // Whatever that is: it will not answer.
  }
  const { worker } = require('cluster');
  if (process.listenerCount('message') > listeners || (worker && worker.listenerCount('message') > 0)) {
    process.emit('message', { type: 'prom-client:getMetricsReq', requestId }, undefined);
  } else {
    process.send({ type: 'prom-client:getMetricsRes', requestId, error: 'it has not loaded prom-client' });
  }
}

process.prependListener('internalMessage', (message) => {
  if (message && message.cmd === 'NODE_PM_METRICS') askForMetrics(message.requestId);
  const isEnd = message && (message.cmd === 'NODE_PM_DRAIN' || message.act === 'disconnect');
  if (isEnd && !isDraining) drain();
});
