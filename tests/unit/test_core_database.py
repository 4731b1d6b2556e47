from pathlib import Path

import pytest

from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError

FIRST = "CREATE TABLE pieces (root TEXT PRIMARY KEY); CREATE INDEX by_root ON pieces (root);"
SECOND = "ALTER TABLE pieces ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"


async def schema(database: Database) -> list[str]:
    rows = await database.rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [row["sql"] for row in rows]


async def test_a_migrated_database_equals_a_fresh_one(tmp_path: Path) -> None:
    fresh, migrated = Database(tmp_path / "fresh.sqlite"), Database(tmp_path / "migrated.sqlite")
    for database in (fresh, migrated):
        await database.open()
    await migrated.migrate("storage", [FIRST])
    await migrated.migrate("storage", [FIRST, SECOND])
    await fresh.migrate("storage", [FIRST, SECOND])
    assert await schema(fresh) == await schema(migrated)
    for database in (fresh, migrated):
        await database.close()


async def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    await database.open()
    await database.migrate("storage", [FIRST])

    def half(connection: object) -> None:
        connection.execute("INSERT INTO pieces VALUES ('a')")  # type: ignore[attr-defined]
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await database.run(half)
    assert await database.row("SELECT * FROM pieces") is None
    await database.close()


async def test_a_file_from_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    await database.open()
    await database.migrate("storage", [FIRST, SECOND])
    with pytest.raises(UserFacingError, match="newer version"):
        await database.migrate("storage", [FIRST])
    await database.close()


async def test_a_file_that_is_no_database_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    database = Database(path)
    with pytest.raises(UserFacingError, match="cannot be opened"):
        await database.open()
    await database.close()
