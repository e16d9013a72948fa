"""An HTTP proxy before a simulator that changes its answers, for answers that no simulator gives."""

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

Rewrite = Callable[[str, str, bytes], bytes]
"""Takes method, path and body of an answer with status 200; returns the body that is sent on."""
NOT_FORWARDED = {"host", "accept-encoding", "connection", "content-length"}
ANSWER_SECONDS = 60.0


class RewritingProxy:
    """Listens on a free loopback port. Use `address`, which has the path of `upstream`, in place of `upstream`."""

    def __init__(self, upstream: str, rewrite: Rewrite) -> None:
        parsed = urlsplit(upstream)
        server, port = parsed.hostname or "", parsed.port

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                connection = http.client.HTTPConnection(server, port, timeout=ANSWER_SECONDS)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_FORWARDED}
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if answer.status == 200:
                    content = rewrite(self.command, urlsplit(self.path).path, content)
                self.send_response(answer.status)
                self.send_header("content-type", answer.getheader("content-type", "application/json"))
                if answer.status != 204:
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = handle_any  # noqa: N815 as the library names them

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}{parsed.path}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "RewritingProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
