"""The page on this machine alone: loopback, a random word in the address, nothing but the files that the site lists."""

from __future__ import annotations

import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from palpate.errors import InputError
from palpate.view.site import PAGE, POLICY, TYPES, Site

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Images of patients stay out of the browser's folder on the disk.
    "Cache-Control": "no-store",
}


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of the site's files under the random word; everything else gets 403 or 404."""

    server: Server
    server_version, sys_version = "palpate", ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """A file of the site."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Its headers."""
        self._answer(body=False)

    def do_POST(self) -> None:
        """Refused, as every other method: nothing can be changed."""
        self.close_connection = True  # what was sent is not read
        self._send(403, "text/plain", b"")

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815

    def _answer(self, *, body: bool) -> None:
        name = self._asked()
        if name is None:
            return self._send(403, "text/plain", b"403: this address is not that of the page.\n" if body else b"")
        data = self.server.site.find(name)
        if data is None:
            return self._send(404, "text/plain", b"404\n" if body else b"")
        kind = TYPES[name.rpartition(".")[2]]
        return self._send(200, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, data, body=body)

    def _asked(self) -> str | None:
        """The name of the file; None for another host, which a page elsewhere may have bound to us, or another word."""
        hosts = {f"{name}:{self.server.port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in hosts:
            return None
        # The name is looked up as it is: no `..` and no escape is ever resolved.
        path = self.path.partition("?")[0].encode(errors="replace")
        start = f"/{self.server.token}/".encode()
        if len(path) < len(start) or not secrets.compare_digest(path[: len(start)], start):
            return None
        return path[len(start) :].decode(errors="replace") or PAGE

    def _send(self, status: int, kind: str, data: bytes, *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written down: addresses hold the word."""


class Server(ThreadingHTTPServer):
    """Serves a site on the loopback interface until it is stopped.

    Attributes:
        site: the files.
        token: the random word.
        port: where it listens.
    """

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site, self.token = site, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"--port {port} cannot be used. Choose another one, or leave it out.") from error
        self.port = int(self.server_address[1])

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves before the answer is no event."""
