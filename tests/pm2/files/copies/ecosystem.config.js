module.exports = {
  apps: [
    { name: 'one', script: './app.js', instances: '1' },
    { name: 'two', script: './app.js', instances: 2, exec_mode: 'fork' },
    { name: 'three', script: './app.js', exec_mode: 'cluster_mode', instances: 2 },
    { name: 'four', script: './app.js', exec_mode: 'fork_mode' },
    { name: 'five', script: './app.sh', instances: 2 },
  ],
};
