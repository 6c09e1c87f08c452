// A server as anybody would write it: nothing in it knows of `pm`.
const http = require('http');

let greeting = 'hello';

http.createServer((request, response) => {
  response.end(`${greeting} from process ${process.pid}\n`);
}).listen(process.env.PORT);

process.on('message', (message) => {
  greeting = message.greeting ?? greeting;
  process.send({ greeting });
});
