"""Counts what a process of crt does to the world, and strikes at the number that it was told: it runs as sitecustomize."""

import os
import sys

plan, begun = os.environ.pop("FAULT_PLAN", ""), os.environ.pop("FAULT_BEGUN", "")
if begun and "coiled_runtime_cli" in sys.orig_argv:

    def note(event, arguments):
        global begun
        if begun and event == "import" and arguments[0] == "coiled_runtime_cli.cli":
            file, begun = begun, ""
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT))

    sys.addaudithook(note)
if plan and "coiled_runtime_cli" in sys.orig_argv:
    count_file, at, what, again = plan.split("|")
    ACTS = {
        "os.rename",
        "os.remove",
        "os.mkdir",
        "os.rmdir",
        "shutil.rmtree",
        "shutil.copyfile",
        "sqlite3.connect",
        "socket.connect",
        "subprocess.Popen",
        "os.link",
        "os.symlink",
        "os.truncate",
    }
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    state = {"count": 0, "inside": False}
    strikes = [int(each) for each in (at, again) if each]
    tally = os.open(count_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if count_file else -1

    def watch(event, arguments):
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITES or "__pycache__" in str(path) or path == os.devnull:
                return
        elif event not in ACTS or "__pycache__" in str(arguments[:1]):
            return
        if state["inside"]:
            return
        state["inside"] = True
        state["count"] += 1
        if tally >= 0:
            os.write(tally, b".")
        if state["count"] in strikes:
            os.kill(os.getpid() if what != "2g" else 0, {"9": 9, "2": 2, "2g": 2, "15": 15}[what])
        state["inside"] = False

    sys.addaudithook(watch)
