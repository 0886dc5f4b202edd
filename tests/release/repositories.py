"""Real repositories for releases: the recipe's own, a feedstock, and what they are pushed to."""

import os
import subprocess

MOMENT = "2026-10-01T12:00:00Z"


def git(folder, *arguments, check=True):
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        check=check,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
            "GIT_AUTHOR_DATE": MOMENT,
            "GIT_COMMITTER_DATE": MOMENT,
            "GIT_CONFIG_GLOBAL": os.devnull,
        },
    )
    return done.stdout.strip()


def repository(folder, message="begin"):
    """A repository of everything in a folder, with a bare one as its origin."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main")
    # who commits is the user's to say, in the repository as well as anywhere
    git(folder, "config", "user.name", "a")
    git(folder, "config", "user.email", "a@b")
    commit(folder, message)
    origin = folder.parent / f"{folder.name}-origin.git"
    subprocess.run(["git", "init", "-q", "--bare", origin], check=True, capture_output=True)
    git(folder, "remote", "add", "origin", str(origin))
    return origin


def commit(folder, message="change"):
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")
