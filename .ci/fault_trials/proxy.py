"""A network that fails: what stands before an S3 server."""

from __future__ import annotations

import http.client
import http.server
import random
import threading

from s3_servers import free_ports


class Proxy:
    """Stands before the S3 server; some requests meet what ``fault`` says."""

    def __init__(self, server: str) -> None:
        self.server = server.removeprefix("http://")
        self.fault, self.rate, self.chance = "", 0.0, random.Random(0)
        self.lock = threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy.lock:
                    struck = bool(proxy.fault) and proxy.chance.random() < proxy.rate
                    place = proxy.chance.random()
                if struck and proxy.fault in ("503 SlowDown", "500"):
                    code, name = (503, "SlowDown") if proxy.fault.startswith("503") else (500, "InternalError")
                    text = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>wait</Message></Error>".encode()
                    self.send_response(code)
                    self.send_header("Content-Type", "application/xml")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
                    return
                if struck and proxy.fault == "cut connections":
                    self.close_connection = True
                    self.connection.close()
                    return
                link = http.client.HTTPConnection(proxy.server, timeout=30)
                link.request(self.command, self.path, body=body, headers=dict(self.headers))
                answer = link.getresponse()
                content = answer.read()
                link.close()
                if struck and proxy.fault == "answers lost":
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else None
                self.send_header("Content-Length", length or str(len(content)))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if struck and proxy.fault == "half answers" and content:
                    self.wfile.write(content[: int(place * len(content))])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815

        (port,) = free_ports(1)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self.http = Server(("127.0.0.1", port), Handler)
        self.address = f"http://127.0.0.1:{port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
