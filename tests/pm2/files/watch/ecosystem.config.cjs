module.exports = { apps: [{ name: 'watch', script: './app.js', cron_restart: '0 3 * * *', watch: ['.'], ignore_watch: ['tmp'] }] };
