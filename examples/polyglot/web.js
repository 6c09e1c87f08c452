// Answers on $PORT, and closes the door before it leaves.
const server = require("node:http").createServer((request, response) => response.end(`pid ${process.pid}\n`));
server.listen(process.env.PORT, "127.0.0.1", () => console.log(`listening on ${process.env.PORT}`));
process.on("SIGTERM", () => server.close(() => process.exit(0)));
