"""A server that answers as Flink 1.19's REST interface does."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB = "a5e2a1f1a2f74a0ebd4b5d5e4b9f0c11"


class FlinkServer:
    """Answers each request with the next of its canned answers, and with the last of them from then on."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, Any]] = []
        """Method and path of each request, and what was sent along."""
        self._answers: dict[str, list[tuple[int, Any]]] = {}

    def answer(self, request: str, *bodies: Any, status: int = 200) -> None:
        """Answer a request, as ``GET /jobs``, with these; text goes out as it is, all else as JSON."""
        self._answers.setdefault(request, []).extend((status, body) for body in bodies)

    def jobs(self, *jobs: dict[str, Any]) -> None:
        self.answer("GET /jobs/overview", {"jobs": jobs})

    def jars(self, *names: str) -> None:
        """Have jars, the newest in the middle."""
        files = [
            {"id": f"{number}_{name}", "name": name, "uploaded": -abs(number - 1)} for number, name in enumerate(names)
        ]
        self.answer("GET /jars", {"address": self.address, "files": files})

    def sent(self, request: str) -> Any:
        """Return what was sent along with the only request of this kind."""
        (body,) = [body for asked, body in self.asked if asked == request]
        return body

    def reply(self, request: str, body: Any) -> tuple[int, bytes]:
        self.asked.append((request, body))
        answers = self._answers.get(request) or [(404, {"errors": [f"Not found: {request}"]})]
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        return status, (content if isinstance(content, str) else json.dumps(content)).encode()


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.flink = FlinkServer(self.server_port)


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def _answer(self) -> None:
        status, content = self.server.flink.reply(f"{self.command} {self.path}", self._body())
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  (the names that http.server calls)

    def _body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        if length > 1 << 20:  # taken, not kept
            while length > 0:
                length -= len(self.rfile.read(min(length, 1 << 16)))
            return None
        content = self.rfile.read(length)
        kind = self.headers.get_content_type()
        if kind == "multipart/form-data":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = BytesParser().parsebytes(head + content).walk()
            return [(part.get_filename(), part.get_payload(decode=True)) for part in parts if not part.is_multipart()]
        return json.loads(content) if kind == "application/json" else content

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def flink_server() -> Iterator[FlinkServer]:
    """Serve until the end of the ``with``."""
    with _Http() as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield http.flink
        finally:
            http.shutdown()
            thread.join()


def job(job_id: str = JOB, name: str = "beam-rtls", state: str = "RUNNING", started_ms: int = 1_700_000_000_000) -> Any:
    return {"jid": job_id, "name": name, "state": state, "start-time": started_ms, "end-time": -1, "duration": 61_400}
