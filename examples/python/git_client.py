"""A git client without git: clone, commit, push and fetch over HTTP with `dulwich`.

    remote = Remote("http://127.0.0.1:8080/alice/hello/web", "alice", "correct horse")
    with remote.clone("web") as repository:
        commit(repository, {"README": b"hello\\n"}, "first commit")
        remote.push(repository)

The secret is the password, or a personal access token (POST /api/users/me/tokens), which can be
read-only. Needs Python 3.10 and `dulwich`.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from dulwich.client import HttpGitClient, HTTPUnauthorized
from dulwich.config import ConfigFile
from dulwich.errors import GitProtocolError
from dulwich.objects import Blob, Commit, Tree
from dulwich.repo import Repo

from netbit_client import Refused

BRANCH = b"refs/heads/main"
TRACKING = b"refs/remotes/origin/main"


class Remote:
    """A repository on a server, with the credentials to access it. Anonymous without a username."""

    def __init__(self, url: str, username: str | None = None, secret: str | None = None) -> None:
        parts = urlsplit(url)
        self.path = parts.path
        # An empty configuration: dulwich uses no credentials or settings of this machine.
        self.client = HttpGitClient(
            f"{parts.scheme}://{parts.netloc}", config=ConfigFile(), username=username, password=secret, quiet=True
        )

    def clone(self, directory: str | Path) -> Repo:
        """Clones into a new bare repository; `main` is at the same commit as on the server."""
        repository = Repo.init_bare(str(directory), mkdir=True)
        try:
            tip = self.fetch(repository)
        except BaseException:
            repository.close()
            raise
        if tip is not None:
            repository.refs[BRANCH] = tip
        return repository

    def fetch(self, repository: Repo) -> bytes | None:
        """Fetches missing objects; returns the server's commit of `main`, None if it has none."""
        try:
            tip = self.client.fetch(self.path, repository).refs.get(BRANCH)
        except (HTTPUnauthorized, GitProtocolError) as error:
            raise _refused(error) from None
        if tip is not None:
            repository.refs[TRACKING] = tip
        return tip

    def push(self, repository: Repo) -> None:
        """Pushes `main`. Raises Refused when the server refuses the push or the ref."""
        tip = repository.refs[BRANCH]
        try:
            result = self.client.send_pack(self.path, lambda _: {BRANCH: tip}, repository.generate_pack_data)
        except (HTTPUnauthorized, GitProtocolError) as error:
            raise _refused(error) from None
        for ref, why in (result.ref_status or {}).items():
            if why is not None:  # the push succeeded, but the server refused this ref
                raise Refused("rejected", f"{ref.decode()}: {why}")
        repository.refs[TRACKING] = tip


def _refused(error: Exception) -> Refused:
    """Returns an error with a code from the HTTP status; the server's text is for display."""
    if isinstance(error, HTTPUnauthorized):
        return Refused("unauthenticated", "the username, the password or the token is wrong")
    return Refused("forbidden" if " 403 " in str(error) else "git", str(error))


def commit(repository: Repo, files: dict[str, bytes], message: str) -> bytes:
    """Adds files to `main` in a new commit; returns the id of the commit."""
    parent = repository.refs.read_loose_ref(BRANCH)
    tree = Tree()
    if parent is not None:
        tree = repository[repository[parent].tree]
    for name, content in files.items():
        blob = Blob.from_string(content)
        repository.object_store.add_object(blob)
        tree.add(name.encode(), 0o100644, blob.id)
    repository.object_store.add_object(tree)
    new = Commit()
    new.tree, new.parents, new.message = tree.id, [parent] if parent is not None else [], message.encode()
    new.author = new.committer = b"Someone <someone@example.org>"
    new.author_time = new.commit_time = int(time.time())
    new.author_timezone = new.commit_timezone = 0
    repository.object_store.add_object(new)
    repository.refs[BRANCH] = new.id
    return new.id


def objects(repository: Repo) -> set[bytes]:
    """Returns the ids of all objects."""
    return set(repository.object_store)
