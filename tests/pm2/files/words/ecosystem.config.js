module.exports = {
  apps: [
    { name: 'text', script: './app.js', args: '--name "two words" -v  x', node_args: '--no-warnings --trace-uncaught' },
    { name: 'list', script: './app.js', args: ['--name', 'two words', 7], interpreter_args: ['--no-warnings'] },
    { name: 'line', script: 'GREETING=hello node app.js --flag' },
    { name: 'tool', script: 'npm', args: 'run nothing', autorestart: false },
    { name: 'both', script: './app.js', node_args: '--no-warnings', interpreter_args: '--trace-uncaught' },
  ],
};
