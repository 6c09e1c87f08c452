// Evaluates PM2's configuration as PM2 does, and prints what it exports behind a mark, as one line of JSON.
// Arguments: the file, "module" or "expression", the mark, the name given with --env (or nothing).
'use strict';
const fs = require('node:fs');
const { createRequire } = require('node:module');
const { pathToFileURL } = require('node:url');

const [file, kind, mark, profile] = process.argv.slice(1);
process.argv = [process.execPath, 'pm2', 'start', file, ...(profile ? ['--env', profile] : [])];

const before = { ...process.env };
const read = new Set();
const real = process.env;
process.env = new Proxy(real, {
  get(variables, name) {
    if (typeof name === 'string') read.add(name);
    return variables[name];
  },
});

function print(answer) {
  const bytes = Buffer.from(`\n${mark}${JSON.stringify(answer)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += fs.writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

// A message is worth more with the line that it comes from.
function lineOf(error) {
  const stack = String((error && error.stack) || '');
  const at = stack.indexOf(file);
  const place = at < 0 ? null : /^:\d+/.exec(stack.slice(at + file.length));
  return place ? Number(place[0].slice(1)) : undefined;
}

const isModule = (value) => value !== null && typeof value === 'object' && value[Symbol.toStringTag] === 'Module';

async function load() {
  if (kind === 'expression') {
    return require('node:vm').runInThisContext(`(${fs.readFileSync(file, 'utf8')}\n)`, { filename: file });
  }
  let exported;
  try {
    exported = createRequire(file)(file);
  } catch (error) {
    const isOfOtherKind =
      error &&
      (error.code === 'ERR_REQUIRE_ESM' ||
        error.code === 'ERR_REQUIRE_ASYNC_MODULE' ||
        error.code === 'ERR_UNKNOWN_FILE_EXTENSION' ||
        (error instanceof SyntaxError && /import|export|await/.test(error.message)));
    if (!isOfOtherKind) throw error;
    exported = await import(pathToFileURL(file));
  }
  return isModule(exported) && 'default' in exported ? exported.default : exported;
}

// What JSON cannot say is named, not dropped in silence.
function plain(value, path, lost, above) {
  if (value instanceof RegExp && /^[\w./-]+$/.test(value.source.replace(/\\([./])/g, '$1'))) {
    return value.source.replace(/\\([./])/g, '$1');
  }
  if (value instanceof Date) return value.toJSON();
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint' || value instanceof RegExp) {
    lost.push(path);
    return undefined;
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    lost.push(path);
    return undefined;
  }
  if (value === null || typeof value !== 'object') return value;
  if (above.includes(value)) throw new Error(`\`${path}\` contains itself`);
  const within = [...above, value];
  if (Array.isArray(value)) {
    return value.map((item, at) => plain(item, `${path}[${at}]`, lost, within)).filter((item) => item !== undefined);
  }
  const copy = {};
  for (const [key, item] of Object.entries(value)) {
    const kept = plain(item, path ? `${path}.${key}` : key, lost, within);
    if (kept !== undefined) Object.defineProperty(copy, key, { value: kept, enumerable: true });
  }
  return copy;
}

load()
  .then((exported) => {
    if (typeof exported === 'function') return { error: 'it exports a function, not an object with `apps`' };
    const lost = [];
    const value = plain(exported, '', lost, []) ?? null;
    const added = {};
    for (const [name, text] of Object.entries(real)) {
      if (before[name] !== text) added[name] = text;
    }
    return { value, read: [...read], added, lost };
  })
  .catch((error) => ({
    error: String((error && error.message) || error).split('\n')[0],
    code: error && error.code,
    line: lineOf(error),
  }))
  .then((answer) => {
    print(answer);
    process.exit(0);
  });
