"""A git client that is not git: clone, commit, push and fetch over HTTP with `dulwich`.

    remote = Remote("http://127.0.0.1:8080/alice/hello/web", "alice", "correct horse")
    with remote.clone("web") as repository:
        commit(repository, {"README": b"hello\\n"}, "first commit")
        remote.push(repository)

The secret is the password, or a personal access token (POST /api/users/me/tokens), which can be for
reading only. Needs Python 3.10 and `dulwich`.
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
    """A repository of a server, and who asks for it. Without a username, nobody does."""

    def __init__(self, url: str, username: str | None = None, secret: str | None = None) -> None:
        parts = urlsplit(url)
        self.path = parts.path
        # An empty configuration: nothing of this machine, so no credential but the one given.
        self.client = HttpGitClient(
            f"{parts.scheme}://{parts.netloc}", config=ConfigFile(), username=username, password=secret, quiet=True
        )

    def clone(self, directory: str | Path) -> Repo:
        """A new bare repository with everything that is there; `main` is where it is on the server."""
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
        """Get what is missing; returns where `main` is on the server, None if there is no such branch."""
        try:
            tip = self.client.fetch(self.path, repository).refs.get(BRANCH)
        except (HTTPUnauthorized, GitProtocolError) as error:
            raise _refused(error) from None
        if tip is not None:
            repository.refs[TRACKING] = tip
        return tip

    def push(self, repository: Repo) -> None:
        """Move `main` of the server to ours. Raises Refused when it does not let us."""
        tip = repository.refs[BRANCH]
        try:
            result = self.client.send_pack(self.path, lambda _: {BRANCH: tip}, repository.generate_pack_data)
        except (HTTPUnauthorized, GitProtocolError) as error:
            raise _refused(error) from None
        for ref, why in (result.ref_status or {}).items():
            if why is not None:  # the push came through, but not this ref
                raise Refused("rejected", f"{ref.decode()}: {why}")
        repository.refs[TRACKING] = tip


def _refused(error: Exception) -> Refused:
    """The server's text is for people; a program gets no more than the status."""
    if isinstance(error, HTTPUnauthorized):
        return Refused("unauthenticated", "the username, the password or the token is wrong")
    return Refused("forbidden" if " 403 " in str(error) else "git", str(error))


def commit(repository: Repo, files: dict[str, bytes], message: str) -> bytes:
    """Put files into `main` beside those that are there; returns the id of the commit."""
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
    """The ids of all objects."""
    return set(repository.object_store)
