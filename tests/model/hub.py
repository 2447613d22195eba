"""A hub on the loopback with one data set: what `huggingface_hub` and `datasets` ask of one, and no more."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"


@contextmanager
def hub_of(name: str, files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Serve the files of the data set `name`; gives the address, and the requests as they come."""
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append(f"POST {self.path}")
            wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
            self._send(200, json.dumps([_entry(path) for path in wanted if path in files]).encode())

        def _answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            asked.append(f"{self.command} {path}")
            if re.fullmatch(rf"/api/datasets/{name}(/revision/[^/]+)?", path):
                return self._send(200, json.dumps(_about()).encode(), with_body)
            if re.fullmatch(rf"/api/datasets/{name}/tree/[^/]+", path):
                return self._send(200, json.dumps([_entry(path) for path in files]).encode(), with_body)
            found = re.fullmatch(rf"/datasets/{name}/resolve/[^/]+/(.+)", path)
            if found and found[1] in files:
                return self._file(files[found[1]], with_body)
            code = "EntryNotFound" if found or path.startswith(f"/api/datasets/{name}/") else "RepoNotFound"
            return self._send(404, b'{"error": "not found"}', with_body, {"X-Error-Code": code})

        def _file(self, content: bytes, with_body: bool) -> None:
            headers = {"ETag": f'"{_hash(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if not wanted:
                return self._send(200, content, with_body, headers)
            start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}"
            return self._send(206, content[start : end + 1], with_body, headers)

        def _send(
            self, status: int, content: bytes, with_body: bool = True, headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    def _about() -> dict[str, Any]:
        moment = "2026-11-25T00:00:00.000Z"
        return {
            "_id": "1",
            "id": name,
            "sha": COMMIT,
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "createdAt": moment,
            "lastModified": moment,
            "siblings": [{"rfilename": path} for path in files],
        }

    def _entry(path: str) -> dict[str, Any]:
        return {"type": "file", "path": path, "size": len(files[path]), "oid": _hash(files[path])}

    def _hash(content: bytes) -> str:
        return sha1(content).hexdigest()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
