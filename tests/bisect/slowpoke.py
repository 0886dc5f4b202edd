"""Repositories with a package whose speed and memory change at known commits: made by real git, built offline."""

import os
import subprocess
import textwrap

#: A build backend within the project: nothing has to be fetched. KIND "compiled" makes a wheel that is not pure.
BACKEND = """
import pathlib, zipfile, base64, hashlib

NAME = {name!r}


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(folder, config_settings=None, metadata_directory=None):
    settings = dict(line.split("=") for line in pathlib.Path("settings.txt").read_text().split())
    if settings.get("broken"):
        raise RuntimeError("this commit does not build")
    pure = settings.get("compiled") != "1"
    tag = "py3-none-any" if pure else "py3-none-linux_x86_64"
    info = NAME + "-1.0.dist-info"
    files = {{str(path): path.read_bytes() for path in pathlib.Path(NAME).glob("*.py")}}
    files[NAME + "/_generated.py"] = b"BUILT = True\\n"
    files[info + "/METADATA"] = ("Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % NAME).encode()
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: tests\\nRoot-Is-Purelib: %s\\nTag: %s\\n" % (str(pure).lower(), tag)
    ).encode()
    record = "".join(
        "%s,sha256=%s,%d\\n"
        % (name, base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode(), len(data))
        for name, data in files.items()
    )
    files[info + "/RECORD"] = (record + info + "/RECORD,,\\n").encode()
    wheel = "%s-1.0-%s.whl" % (NAME, tag)
    with zipfile.ZipFile(pathlib.Path(folder) / wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel
"""

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{name}"
version = "1.0"
"""

MODULE = '''
"""Takes its time."""

import time

NUMBER = {number}


def work():
    time.sleep({seconds})
    ballast = bytearray({memory})
    for place in range(0, len(ballast), 4096):
        ballast[place] = 1
    return len(ballast)
'''

#: When the first commit was made (s since the epoch), and how long after it each other one.
BEGAN, EVERY = 1_700_000_000, 3600


class Repository:
    """``hashes`` are the commits in order. A commit is made by :meth:`commit`, with what is to be different."""

    def __init__(self, folder, name="slowpoke"):
        self.folder = folder
        self.name = name
        self.hashes = []
        self.state = {"seconds": 0.02, "memory": 1 << 20, "broken": False, "compiled": False, "breaks": False}
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "A. U. Thor")
        self.git("config", "user.email", "author@example.com")
        (folder / "backend.py").write_text(textwrap.dedent(BACKEND.format(name=name)))
        (folder / "pyproject.toml").write_text(textwrap.dedent(PROJECT.format(name=name)))
        (folder / name).mkdir()
        (folder / ".gitignore").write_text("__pycache__/\n_generated.py\n")

    def git(self, *arguments, moment=None):
        dates = {} if moment is None else {f"GIT_{who}_DATE": f"{moment} +0000" for who in ("AUTHOR", "COMMITTER")}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **dates},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def commit(self, subject=None, *, moment=None, tag=None, files=None, **changes):
        """Each state is kept until it changes; ``broken`` (it does not build) and ``breaks`` (it does not import) likewise."""
        self.state.update(changes)
        number = len(self.hashes)
        text = MODULE.format(number=number, **{key: self.state[key] for key in ("seconds", "memory")})
        if self.state["breaks"]:
            text += "raise ImportError('this commit is broken')\n"
        (self.folder / self.name / "__init__.py").write_text(textwrap.dedent(text))
        flags = [f"{key}=1" for key in ("broken", "compiled") if self.state[key]]
        (self.folder / "settings.txt").write_text("\n".join([*flags, f"number={number}"]))
        for name, content in (files or {}).items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject or f"change {number}", moment=moment or BEGAN + number * EVERY)
        if tag:
            self.git("tag", tag)
        self.hashes.append(self.git("rev-parse", "HEAD"))
        return self.hashes[-1]


def with_a_slow_commit(folder, count, bad, *, seconds=(0.02, 0.08), name="slowpoke", broken=(), breaks=(), **state):
    """A repository of ``count`` commits after the first, the ``bad``-th of which takes longer; v0 and v1 are its ends."""
    made = Repository(folder, name)
    for number in range(count + 1):
        made.commit(
            seconds=seconds[number >= bad],
            broken=number in broken,
            breaks=number in breaks,
            tag={0: "v0", count: "v1"}.get(number),
            **state,
        )
    return made


#: Prints how long the work took.
COMMAND = """
import time
import slowpoke
began = time.perf_counter()
slowpoke.work()
print("it took")
print(time.perf_counter() - began)
"""
