"""The schema of the database, as the ordered steps that lead to it. A step that was released is never changed."""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "records, files, cache, idempotency keys",
        (
            "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
            """
            CREATE TABLE files (
                sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                filename TEXT NOT NULL,
                folded_filename TEXT NOT NULL,
                mime_type TEXT,
                state TEXT NOT NULL CHECK (state IN ('pending', 'ready')),
                uploaded INTEGER NOT NULL,
                size INTEGER,
                sha256 TEXT,
                page_count INTEGER,
                expected_size INTEGER,
                expected_sha256 TEXT,
                expires_at INTEGER,
                created_at INTEGER NOT NULL,
                updated_at INTEGER NOT NULL
            )
            """,
            "CREATE INDEX files_by_creation ON files (created_at, sequence)",
            "CREATE INDEX files_by_update ON files (updated_at, sequence)",
            "CREATE INDEX files_by_content ON files (sha256)",
            """
            CREATE TABLE records (
                sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                kind TEXT NOT NULL CHECK (kind IN ('extraction', 'parse', 'schema')),
                status TEXT NOT NULL
                    CHECK (status IN ('pending', 'queued', 'in_progress', 'completed', 'failed', 'cancelled')),
                created_at INTEGER NOT NULL,
                updated_at INTEGER NOT NULL,
                filename TEXT NOT NULL,
                folded_filename TEXT NOT NULL,
                extension TEXT NOT NULL,
                metadata TEXT,
                request TEXT NOT NULL,
                body TEXT NOT NULL,
                output TEXT NOT NULL,
                background INTEGER NOT NULL,
                owner TEXT NOT NULL,
                attempts INTEGER NOT NULL
            )
            """,
            "CREATE INDEX records_by_creation ON records (kind, created_at, sequence)",
            "CREATE INDEX records_open ON records (status) WHERE status IN ('pending', 'queued', 'in_progress')",
            """
            CREATE TABLE record_files (
                record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE,
                position INTEGER NOT NULL,
                file_id TEXT REFERENCES files (id) ON DELETE SET NULL,
                filename TEXT NOT NULL,
                PRIMARY KEY (record_id, position)
            )
            """,
            "CREATE INDEX record_files_by_file ON record_files (file_id)",
            """
            CREATE TABLE cache (
                key TEXT PRIMARY KEY,
                document_sha256 TEXT NOT NULL,
                value TEXT NOT NULL,
                created_at INTEGER NOT NULL
            )
            """,
            "CREATE INDEX cache_by_document ON cache (document_sha256)",
            """
            CREATE TABLE idempotency_keys (
                key TEXT PRIMARY KEY,
                body_hash TEXT NOT NULL,
                record_id TEXT NOT NULL REFERENCES records (id) ON DELETE CASCADE,
                created_at INTEGER NOT NULL
            )
            """,
            "CREATE INDEX idempotency_keys_by_record ON idempotency_keys (record_id)",
        ),
    ),
    (
        "cited sources of stored extractions; idempotency keys of uploads",
        (
            # The extraction whose cited sources a record is there to find, and which has it to itself.
            "ALTER TABLE records ADD COLUMN sources_of TEXT REFERENCES records (id) ON DELETE CASCADE",
            "CREATE UNIQUE INDEX records_by_sources_of ON records (sources_of) WHERE sources_of IS NOT NULL",
            """
            CREATE TABLE upload_keys (
                key TEXT PRIMARY KEY,
                body_hash TEXT NOT NULL,
                file_id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
                created_at INTEGER NOT NULL
            )
            """,
            "CREATE INDEX upload_keys_by_file ON upload_keys (file_id)",
        ),
    ),
)
