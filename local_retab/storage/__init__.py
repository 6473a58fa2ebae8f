"""What is kept: records of requests, documents, cached results, and the background queue, in one SQLite database."""

from local_retab.storage.database import Database, database_path
from local_retab.storage.files import StoredFile
from local_retab.storage.paging import Page, Window
from local_retab.storage.records import Filters, Kind, Record, RecordFile
from local_retab.storage.storage import Storage

__all__ = [
    "Database",
    "Filters",
    "Kind",
    "Page",
    "Record",
    "RecordFile",
    "Storage",
    "StoredFile",
    "Window",
    "database_path",
]
