// Records what PM2 itself does with these lines: node record_commands.js, with `pm2` on the PATH. Writes commands.json.
'use strict';
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const LINES = [
  'jlist',
  'stop nope',
  'stop all',
  'start nope.sh',
  'start app.sh',
  'start app.sh',
  'start other.sh -n second -- --port 80',
  'list',
  'stop app',
  'stop app',
  'start app',
  'stop 0',
  'restart 0',
  'restart all',
  'restart nope',
  'restart /sec/',
  'stop second app',
  'stop second nope app',
  'restart second app -s',
  'describe app',
  'describe nope',
  'env 0',
  'env nope',
  'pid app',
  'pid nope',
  'id second',
  'id nope',
  'start app.sh --bogus',
  'bogus',
  'start pm2.json --only a',
  'start pm2.json',
  'stop web',
  'startOrReload pm2.json',
  'stop pm2.json',
  'startOrRestart pm2.json --only b',
  'startOrReload app',
  'delete pm2.json',
  'del second',
  'delete second',
  'scale nope 2',
  'logs app --nostream --lines 1',
  'save',
  'save all',
  'ping',
  'restart app --update-env',
  'reload app',
  'delete app.sh',
  'delete all',
  'kill',
];

const source = path.join(__dirname, 'commands');
const home = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-record-'));
const folder = path.join(home, 'folder');
fs.cpSync(source, folder, { recursive: true });
const env = { PATH: process.env.PATH, HOME: home, PM2_HOME: path.join(home, 'pm2') };
const pm2 = (words) => spawnSync('pm2', words, { cwd: folder, env, encoding: 'utf8' });
const recorded = [];
try {
  pm2(['-s', 'ping']);
  for (const line of LINES) {
    const { status, stdout, stderr } = pm2(line.split(' '));
    const entry = { line, code: status, stdout: stdout.trim() !== '', stderr: stderr.trim() !== '' };
    // What only shows something leaves everything as it is.
    if (/^(jlist|list|describe|env|pid|id|logs|save|ping|bogus)\b/.test(line)) {
      entry.apps = recorded.at(-1)?.apps ?? [];
    } else if (line !== 'kill') {
      const apps = JSON.parse(pm2(['-s', 'jlist']).stdout);
      entry.apps = apps.map(({ name, pm_id, pm2_env }) => [name, pm_id, pm2_env.status]);
    }
    recorded.push(entry);
  }
} finally {
  pm2(['-s', 'kill']);
  fs.rmSync(home, { recursive: true });
}
const rows = recorded.map((entry) => JSON.stringify(entry)).join(',\n');
fs.writeFileSync(path.join(__dirname, 'commands.json'), `[\n${rows}\n]\n`);
