// A bare list, second names, camelCase, numbers as text.
module.exports = [
  { name: 'one', exec: './app.js', maxMemoryRestart: '300M', kill_timeout: '3000', combine_logs: true, restartDelay: 500 },
  { script: 'app.js', cwd: './', error: './e.log', output: './o.log', minUptime: '10s', namespace: 'web' },
  { name: 'three', cmd: 'app.js', max_restarts: 5, autorestart: false, stop_exit_codes: [0, 3], watch: false },
];
