"""GitHub's REST API, as far as it is needed: issues with a label, their comments, and the pull request of a commit.

https://docs.github.com/en/rest, version 2022-11-28. It is tested against a server on loopback that keeps a repository's state and
fails in the ways that are documented (``tests/github_server.py``); what GitHub itself does beyond its documentation is not.
"""

from coiled_runtime_cli.github.connection import URL, UncertainError
from coiled_runtime_cli.github.repository import Comment, Issue, Repository

__all__ = ["URL", "Comment", "Issue", "Repository", "UncertainError"]
