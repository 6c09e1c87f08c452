"""A server that needs a moment before it can answer."""

import os
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()


time.sleep(0.5)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
