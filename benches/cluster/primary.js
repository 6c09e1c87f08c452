// Node's own primary: what everybody else is compared with.
'use strict';
const cluster = require('cluster');

if (cluster.isPrimary || cluster.isMaster) for (let worker = 0; worker < Number(process.env.WORKERS); worker++) cluster.fork();
else require('./app.js');
