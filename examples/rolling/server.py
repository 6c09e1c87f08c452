"""A web page behind a socket that pm opened. Asked to end, it finishes what it has begun."""
import http.server
import os
import signal
import socket
import threading


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"version {os.environ['VERSION']}, process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


server = http.server.ThreadingHTTPServer(("", 0), Page, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=3)  # the first of LISTEN_FDS
server.daemon_threads = False  # the end waits for answers under way
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever(poll_interval=0.05)
server.server_close()
