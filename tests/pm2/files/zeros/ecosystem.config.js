module.exports = {
  apps: { name: 'zeros', script: './app.js', kill_timeout: 0, min_uptime: 0, restart_delay: 0, cron_restart: '0', watch: false,
          max_memory_restart: undefined, wait_ready: false },
};
