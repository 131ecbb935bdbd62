"""A web server on this machine that answers like Hugging Face's hub, with one data set."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

NAME = "lab/shapes"
COMMIT = "1234567890" * 4


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]

    def log_message(self, *_):
        pass

    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path.startswith(f"/datasets/{NAME}/resolve/"):
            self._file(path.split("/", 6)[-1])
        elif path.startswith((f"/api/datasets/{NAME}/paths-info/", f"/api/datasets/{NAME}/tree/")):
            wanted = parse_qs(sent.decode()).get("paths", list(self.files))
            self._answer(json.dumps([self._entry(name) for name in wanted if name in self.files]).encode())
        elif path.startswith(f"/api/datasets/{NAME}"):
            siblings = [{"rfilename": name} for name in self.files]
            self._answer(json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode())
        else:
            self._answer(status=200 if path == "/" else 404, error="RepoNotFound")

    do_HEAD = do_POST = do_GET  # noqa: N815

    def _entry(self, name):
        content = self.files[name]
        return {"type": "file", "oid": _checksum(content), "size": len(content), "path": name}

    def _file(self, name):
        if name in self.files:
            self._answer(self.files[name])
        else:
            self._answer(status=404, error="EntryNotFound")

    def _answer(self, content=b"", status=200, error=None):
        self.send_response(status)
        headers = {"ETag": f'"{_checksum(content)}"', "X-Repo-Commit": COMMIT, "X-Error-Code": error}
        for key, value in headers.items():
            if value:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _checksum(content):
    return hashlib.sha1(content).hexdigest()


@contextmanager
def hub(folder: Path):
    """Give the address of a hub whose data set `NAME` consists of the files in `folder`."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Filled", (_Hub,), {"files": files}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
