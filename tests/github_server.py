"""A repository on loopback that answers as GitHub's REST API is documented to, and that fails when it is told to.

Issues with labels, state, reason and pages; comments; labels; pull requests. It was written from
the documentation, and is not GitHub.
"""

import json
import threading
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "ghp_0123456789secret"


class GitHub:
    """The state of the repository: what a person does to it and sees of it, and then what the API does."""

    def __init__(self, name="owner/project"):
        self.name = name
        self.issues = []
        self.labels = set()
        self.pulls = []  # {"number", "state", "head": {"sha"}}
        self.comments = {}  # by the number of the issue
        self.asked = []  # (method, path, query)
        self.faults = []  # (method, end of the path, fault), each met once; a fault is a name, or (code, headers, message)
        self.drops_labels = False
        self.url = ""
        self._ids = iter(range(1, 1_000_000))
        self._lock = threading.RLock()

    def close(self, number, reason="completed"):
        self.issue(number).update(state="closed", state_reason=reason)

    def reopen(self, number):
        self.issue(number).update(state="open", state_reason="reopened")

    def issue(self, number):
        return next(each for each in self.issues if each["number"] == number)

    def told(self, number):
        """The texts of the comments of an issue, without their marks."""
        return [each["body"].partition("\n")[2] for each in self.comments.get(number, [])]

    def open_issues(self):
        return [each["number"] for each in self.issues if each["state"] == "open"]

    def made(self):
        """What was written: methods and paths, without the reading."""
        return [(method, path) for method, path, _ in self.asked if method != "GET"]

    def answer(self, method, path, query, content):
        with self._lock:
            root = f"/repos/{self.name}"
            if not path.startswith(root + "/"):
                return 404, {"message": "Not Found"}
            parts = path.removeprefix(root).strip("/").split("/")
            return self._route(method, parts, query, content)

    def _route(self, method, parts, query, content):
        match (method, parts):
            case "GET", ["issues"]:
                return 200, self._page([each for each in self.issues if self._fits(each, query)], query)
            case "POST", ["issues"]:
                return 201, self.create(content)
            case "PATCH", ["issues", number]:
                issue = self.issue(int(number))
                if content.get("state") == "closed":
                    issue["state_reason"] = content.get("state_reason", "completed")
                elif content.get("state") == "open":
                    issue["state_reason"] = "reopened"
                issue.update(content)
                return 200, issue
            case "GET", ["issues", number, "comments"]:
                return 200, self._page(self.comments.get(int(number), []), query)
            case "POST", ["issues", number, "comments"]:
                return 201, self.comment(int(number), content["body"])
            case (("PATCH" | "DELETE"), ["issues", "comments", identity]):
                for comments in self.comments.values():
                    for each in comments:
                        if each["id"] == int(identity):
                            if method == "DELETE":
                                comments.remove(each)
                                return 204, None
                            each.update(content)
                            return 200, each
            case "GET", ["labels", name]:
                if urllib.parse.unquote(name) in self.labels:
                    return 200, {"name": name}
            case "POST", ["labels"]:
                if content["name"] in self.labels:
                    errors = [{"resource": "Label", "code": "already_exists", "field": "name"}]
                    return 422, {"message": "Validation Failed", "errors": errors}
                self.labels.add(content["name"])
                return 201, content
            case "GET", ["pulls"]:
                return 200, self._page([each for each in self.pulls if each["state"] == query["state"]], query)
        return 404, {"message": "Not Found"}

    def create(self, content):
        number = len(self.issues) + 1
        labels = [] if self.drops_labels else content.get("labels", [])
        issue = {
            "number": number,
            "title": content["title"],
            "body": content["body"].replace("\n", "\r\n"),  # as GitHub may keep what came through its pages
            "state": "open",
            "state_reason": None,
            "labels": [{"name": each} for each in labels],
            "html_url": f"https://github.com/{self.name}/issues/{number}",
        }
        self.issues.append(issue)
        return issue

    def comment(self, number, body, *, association="NONE", kind="Bot"):
        made = {
            "id": next(self._ids),
            "body": body,
            "html_url": f"https://github.com/{self.name}/issues/{number}#issuecomment",
            "user": {"login": "github-actions[bot]", "type": kind},
            "author_association": association,
        }
        self.comments.setdefault(number, []).append(made)
        return made

    @staticmethod
    def _fits(issue, query):
        state, label = query.get("state", "open"), query.get("labels")
        return (state in {"all", issue["state"]}) and (
            label is None or label in {each["name"] for each in issue["labels"]}
        )

    @staticmethod
    def _page(found, query):
        size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
        return found[(page - 1) * size : page * size]

    def fault(self, method, path):
        with self._lock:
            for each in self.faults:
                if each[0] == method and path.endswith(each[1]):
                    self.faults.remove(each)
                    return each[2]
        return None


class _Handler(BaseHTTPRequestHandler):
    github = None

    def handle_any(self):
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        self.github.asked.append((self.command, parts.path, query))
        length = int(self.headers.get("Content-Length") or 0)
        content = json.loads(self.rfile.read(length)) if length else None
        token = self.headers.get("Authorization", "")
        if (token or self.command != "GET") and token != f"Bearer {TOKEN}":
            self.reply(401, {"message": "Bad credentials"})
            return
        fault = self.github.fault(self.command, parts.path)
        if isinstance(fault, tuple):
            code, headers, message = fault
            self.reply(code, {"message": message}, headers)
            return
        code, found = self.github.answer(self.command, parts.path, query, content)
        if fault == "lost":  # done, and a gateway loses the answer
            self.reply(502, {"message": "Server Error"})
        elif fault == "half":  # done, and the answer breaks off
            self.reply(code, found, cut=True)
        elif callable(fault):
            fault()
            self.reply(code, found)
        else:
            self.reply(code, found)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - as the base class calls them

    def reply(self, code, found, headers=None, *, cut=False):
        body = b"" if found is None else json.dumps(found).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, *_):
        pass


@contextmanager
def served():
    github = GitHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"github": github}))
    github.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield github
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
