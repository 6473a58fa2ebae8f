"""Which processes use the store: each holds a lock file, which the system lets go of however the process ends."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path

from local_retab.errors import StorageError


class Owner:
    """This process's hold on the records that it is working on. ``folder`` None: the store is in memory."""

    def __init__(self, folder: Path | None) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        self._descriptor: int | None = None
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Never inherited: a child must not keep its dead parent alive.
            self._descriptor = os.open(folder / self.id, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be used: {error}. Check its permissions, or set LOCAL_RETAB_HOME to another folder."
            ) from error

    def is_dead(self, owner: str) -> bool:
        """Whether the process of another owner has ended."""
        if owner == self.id or self._folder is None:
            return False
        try:
            descriptor = os.open(self._folder / owner, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    def forget(self, owner: str) -> None:
        """Remove the lock file of a dead owner, whose records have been taken over."""
        if self._folder is not None and owner:
            (self._folder / owner).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go. Safe to call again."""
        if self._descriptor is not None and self._folder is not None:
            (self._folder / self.id).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
