"""An HTTP server on loopback, each of whose pages can be scripted to misbehave."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """`site.pages["/x"] = [cut(data, 10), whole(data)]`: one answer a request, the last repeated.

    `site.requests` are the (path, headers) that came, in order.
    """

    def __init__(self):
        self.pages = {}
        self.requests = []
        self.arrived = threading.Condition()
        self.released = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with site.arrived:
                    script = site.pages.get(self.path, [status(404)])
                    answer = script.pop(0) if len(script) > 1 else script[0]
                    site.requests.append((self.path, dict(self.headers)))
                    site.arrived.notify_all()
                answer(self, site)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, request, client_address):
                pass  # The client hung up: some tests kill it.

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.server.server_address[1]}{path}"

    def serve(self, folder, files):
        """Serve whole files as `/<folder>/<name>`; the base URL."""
        self.pages |= {f"/{folder}/{name}": [whole(data)] for name, data in files.items()}
        return self.url(f"/{folder}/")

    def ranges(self):
        """The Range header of every request, None where there was none."""
        return [headers.get("Range") for _, headers in self.requests]


def whole(data, *, etag='"v1"', last_modified=None, ranges=True, length=True, upto=None, hold=False):
    """Answer as a good server would; or end after `upto` bytes; or then `hold` the connection."""

    def answer(handler, site):
        start, headers = 0, handler.headers
        found = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if found and ranges and headers.get("If-Range") in (None, etag, last_modified):
            start = int(found[1])
            if start >= len(data):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(data)}")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        for name, value in (("ETag", etag), ("Last-Modified", last_modified)):
            if value:
                handler.send_header(name, value)
        if length:
            handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:upto])
        if hold:
            handler.wfile.flush()
            site.released.wait()

    return answer


def cut(data, upto, **options):
    """Close the connection after the file's first `upto` bytes, though more were announced."""
    return whole(data, upto=upto, **options)


def stall(data, upto, **options):
    """Send the file's first `upto` bytes and then nothing, with the connection open."""
    return whole(data, upto=upto, hold=True, **options)


def once_released(answer):
    """Answer when the test says so."""

    def later(handler, site):
        site.released.wait()
        answer(handler, site)

    return later


def status(code, body=b"<html>sorry</html>"):
    """An answer with this code and an HTML page."""

    def answer(handler, site):
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def dead_url():
    """An address on loopback at which no server listens."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/x"
