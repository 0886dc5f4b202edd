"""A package index on loopback that answers as PyPI does: the simple API in JSON, and the JSON API with advisories."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Index:
    def __init__(self):
        self.packages = {}  # name: {version: {"uploaded", "requires_python", "yanked", "vulnerabilities"}}
        self.files = {}  # any other path: bytes
        self.asked = []
        self.broken = 0  # requests that are answered with 503 first
        self.url = ""

    def add(
        self,
        name,
        version,
        *,
        uploaded="2026-10-01T00:00:00Z",
        requires_python=">=3.10",
        yanked=False,
        vulnerabilities=(),
    ):
        self.packages.setdefault(name, {})[version] = {
            "uploaded": uploaded,
            "requires_python": requires_python,
            "yanked": yanked,
            "vulnerabilities": list(vulnerabilities),
        }

    def answer(self, path):
        parts = path.strip("/").split("/")
        if parts[0] == "simple" and len(parts) == 2 and parts[1] in self.packages:
            name = parts[1]
            files = [
                {
                    "filename": f"{name.replace('-', '_')}-{version}{suffix}",
                    "requires-python": each["requires_python"],
                    "yanked": each["yanked"],
                    "upload-time": each["uploaded"],
                    "url": "https://files/none",
                    "hashes": {},
                }
                for version, each in self.packages[name].items()
                for suffix in ("-py3-none-any.whl", ".tar.gz")
            ]
            return json.dumps({"name": name, "files": files, "versions": list(self.packages[name])}).encode()
        if parts[0] == "pypi" and parts[-1] == "json":
            known = self.packages.get(parts[1], {}).get(parts[2])
            return None if known is None else json.dumps({"vulnerabilities": known["vulnerabilities"]}).encode()
        return self.files.get(path)


@contextmanager
def served():
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            index.asked.append(self.path)
            if index.broken > 0:
                index.broken -= 1
                self.send_error(503)
                return
            content = index.answer(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
