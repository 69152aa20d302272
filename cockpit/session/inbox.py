"""The inbox: the intents that the screen and the commands leave for the worker."""

import os
from pathlib import Path

from cockpit.session.sqlite_file import connect, translated_errors

INBOX_MODE = 0o600
_TABLE = """
CREATE TABLE IF NOT EXISTS intents (id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, body BLOB NOT NULL)
"""


class Inbox:
    """Only the session's owner can open it. Raises LedgerError with one sentence where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with translated_errors(path):
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, INBOX_MODE))
            self._db = connect(path, "rw")
            self._db.execute("PRAGMA busy_timeout=10000")
            self._db.execute(_TABLE)
            self._db.commit()

    def put(self, author: str, body: bytes) -> int:
        """Leave an intent. Returns its number, which the ledger's IntentTaken names when it was dealt with."""
        with translated_errors(self.path), self._db:
            row = self._db.execute("INSERT INTO intents (author, body) VALUES (?, ?)", (author, body))
            return int(row.lastrowid or 0)

    def after(self, intent: int, most: int = 100) -> list[tuple[int, str, bytes]]:
        """Return [(number, author, body)] of the intents after number `intent`, oldest first."""
        with translated_errors(self.path):
            return self._db.execute(
                "SELECT id, author, body FROM intents WHERE id > ? ORDER BY id LIMIT ?", (intent, most)
            ).fetchall()

    def close(self) -> None:
        self._db.close()
