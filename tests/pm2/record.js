// Records how PM2 itself reads the files in `files`: node record.js, with `pm2` on the PATH. Writes recorded.json.
'use strict';
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const files = path.join(__dirname, 'files');
const recorded = {};
for (const name of fs.readdirSync(files).sort()) {
  const folder = path.join(files, name);
  const file = fs.readdirSync(folder).find((entry) => /config\.|^pm2\.|^package/.test(entry));
  const profile = fs.existsSync(path.join(folder, 'profile')) ? fs.readFileSync(path.join(folder, 'profile'), 'utf8').trim() : null;
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-record-'));
  const base = { PATH: process.env.PATH, HOME: home, PM2_HOME: home };
  const pm2 = (...words) => execFileSync('pm2', ['-s', ...words], { cwd: folder, env: base, encoding: 'utf8' });
  try {
    pm2('start', file, ...(profile ? ['--env', profile] : []));
    const here = (value) => (typeof value === 'string' ? path.relative(folder, value) || '.' : value);
    const apps = {};
    for (const { name, pm2_env: env } of JSON.parse(pm2('jlist'))) {
      const own = Object.entries(env.env).filter(
        ([key, value]) => !(key in base) && key !== name && !/^(PM2_|unique_id$)/.test(key) && typeof value !== 'object',
      );
      const copies = (apps[name]?.copies ?? 0) + 1;
      apps[name] = {
        copies,
        script: here(env.pm_exec_path),
        cwd: here(env.pm_cwd),
        args: env.args ?? [],
        interpreter: path.basename(env.exec_interpreter),
        interpreter_args: env.node_args,
        exec_mode: env.exec_mode,
        namespace: env.namespace,
        env: Object.fromEntries(own.map(([key, value]) => [key, String(value)])),
        autorestart: env.autorestart,
        watch: env.watch ?? false,
        ignore_watch: env.ignore_watch ?? null,
        max_memory_restart: env.max_memory_restart ?? null,
        max_restarts: env.max_restarts ?? null,
        min_uptime: env.min_uptime ?? null,
        restart_delay: env.restart_delay ?? null,
        kill_timeout: env.kill_timeout ?? null,
        stop_exit_codes: env.stop_exit_codes ?? null,
        cron_restart: env.cron_restart ?? null,
      };
    }
    recorded[name] = { file, profile, apps };
  } finally {
    pm2('kill');
    fs.rmSync(home, { recursive: true });
  }
}
fs.writeFileSync(path.join(__dirname, 'recorded.json'), `${JSON.stringify(recorded, null, 1)}\n`);
