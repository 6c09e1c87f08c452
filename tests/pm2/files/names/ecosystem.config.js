module.exports = {
  apps: [
    { name: 'two words', script: './app.js' },
    { name: 'api', name_prefix: 'shop', script: './app.js' },
    { name: 'web', append_env_to_name: true, script: './app.js', env_staging: { A: '1' } },
    { script: './app.server.js' },
  ],
};
