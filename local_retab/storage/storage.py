"""Everything that is kept, opened together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from local_retab.storage.cache import ResultCache
from local_retab.storage.database import Database, database_path
from local_retab.storage.files import Files, StoredFile
from local_retab.storage.idempotency import IdempotencyKeys
from local_retab.storage.owners import Owner
from local_retab.storage.queue import Queue
from local_retab.storage.records import Kind, Records, now_microseconds

if TYPE_CHECKING:
    from local_retab.settings import Settings

DAY_MICROSECONDS = 24 * 3600 * 1_000_000


class Storage:
    """The store under ``settings.home``; with ``keep=none`` one in memory, which holds what is under way.

    ``deleted`` hears of each file that was deleted. Raises StorageError.
    """

    def __init__(self, settings: Settings, deleted: Callable[[str], None] = lambda file_id: None) -> None:
        home = settings.home
        self.keeps = settings.keep == "all"
        self.database = Database(database_path(home) if self.keeps else None)
        self.owner = Owner(home / "owners" if self.keeps else None)
        self.records = Records(self.database)
        self.files = Files(self.database, home / "files" if self.keeps else None, deleted)
        self.cache = ResultCache(self.database, settings.max_cache_bytes if self.keeps else 0)
        self.keys = IdempotencyKeys(self.database, "idempotency_keys", "record_id")
        self.upload_keys = IdempotencyKeys(self.database, "upload_keys", "file_id")
        self.queue = Queue(self.database, self.owner)
        self._keep_days = settings.keep_days
        # Between adding a document and the record that names it, nobody may find it unused.
        self.files_lock = threading.Lock()

    def delete_record(self, record_id: str, kind: Kind) -> bool:
        """Delete a record, the results cached for its documents, and the documents that came with it alone."""
        record = self.records.get(record_id, kind)
        if record is None:
            return False
        with self.files_lock:
            deleted = self.records.delete(record_id, kind)
            for file in [self.files.get(name.file_id) for name in record.files if name.file_id]:
                if file is not None:
                    self._forget(file)
        self.database.forget()
        return deleted

    def _forget(self, file: StoredFile) -> None:
        if file.sha256:
            self.cache.delete_document(file.sha256)
        if not file.uploaded and not self.files.users(file.id):
            self.files.delete(file.id)

    def delete_file(self, file_id: str) -> bool:
        """Delete a file and the results cached for it. False when there is none."""
        with self.files_lock:
            deleted = self.files.delete(file_id)
        self.database.forget()
        return deleted

    def prune(self) -> None:
        """Delete what is older than the settings keep it, and documents that no record names any more."""
        moment = None
        if self._keep_days is not None:
            moment = now_microseconds() - int(self._keep_days * DAY_MICROSECONDS)
            self.records.delete_before(moment)
            self.cache.delete_before(moment)
        with self.files_lock:
            self.files.delete_orphans(moment)
        self.database.forget()

    def close(self) -> None:
        """Let go of the records of this process. Safe to call again."""
        self.owner.close()
        self.database.close()
