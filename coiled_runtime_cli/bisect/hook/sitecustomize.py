# mypy: ignore-errors
"""Found by every Python below a probed command: notes where the projects under test are imported from.

Nothing is imported that it does not need. It runs in any Python from 3.4 on, in environments that have nothing of crt, and leaves no trace where it is not asked for.
"""

import os
import sys


class _Witness:
    """First of the finders: it looks, writes, and lets the others find."""

    def __init__(self, names, folder):
        self._names = names
        self._folder = folder

    def find_spec(self, name, path=None, target=None):
        if name in self._names:
            self._names.discard(name)
            try:
                import json
                from importlib.machinery import PathFinder

                spec = PathFinder.find_spec(name, path)
                origin = None if spec is None else spec.origin
                if origin is None and spec is not None:
                    origin = (list(spec.submodule_search_locations or []) or [None])[0]
                note = {"pid": os.getpid(), "name": name, "file": origin, "python": sys.version.split()[0]}
                with open(os.path.join(self._folder, "%d-%s.json" % (os.getpid(), name)), "w") as stream:
                    json.dump(note, stream)
            except Exception:
                pass  # nothing that is measured may fail for this


def _watch():
    folder, names = os.environ.get("CRT_BISECT_IMPORTS"), os.environ.get("CRT_BISECT_MODULES")
    if folder and names:
        sys.meta_path.insert(0, _Witness(set(names.split(",")), folder))


def _call_the_next():
    """The sitecustomize that this one stands before, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    for each in sys.path:
        file = os.path.join(each or os.getcwd(), "sitecustomize.py")
        if os.path.dirname(os.path.abspath(file)) != here and os.path.isfile(file):
            with open(file, "rb") as stream:
                code = compile(stream.read(), file, "exec")
            exec(code, {"__name__": "sitecustomize", "__file__": file})
            return


_watch()
_call_the_next()
