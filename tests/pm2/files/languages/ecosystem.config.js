module.exports = {
  apps: [
    { script: './app.py' },
    { name: 'shell', script: './app.sh' },
    { name: 'itself', script: './app.sh', interpreter: 'none' },
    { name: 'bash', script: './app.sh', interpreter: 'bash' },
  ],
};
