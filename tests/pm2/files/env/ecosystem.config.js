module.exports = {
  apps: [
    {
      name: 'variables', script: './app.js', port: 4123,
      env: { TEXT: 'a b', NUMBER: 1, FLOAT: 1.5, YES: true, NOTHING: null, OBJECT: { a: [1] }, DOLLAR: '${HOME} $$', EMPTY: '' },
      env_production: { NUMBER: 2, ONLY: 'there' },
    },
  ],
};
