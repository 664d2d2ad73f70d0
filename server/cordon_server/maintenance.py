"""Work on a coordinator's store while nothing runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from cordon_common.errors import SystemFault, UsageError
from cordon_server import migrate
from cordon_server.store import open_engine

if TYPE_CHECKING:
    from cordon_server.home import CoordinatorHome


def upgrade_store(home: CoordinatorHome) -> tuple[str, str, Path | None]:
    """Bring the store up to date; return the steps before and after, and the copy made before.

    A SQLite store is copied; of another database the operator has made a copy.

    Raises:
        SystemFault: SY021 when the database cannot be used, SY070 when it is newer than this version.
        UsageError: US003 when a copy of that step exists already.
    """
    engine = open_engine(home.store_url)
    try:
        before = migrate.revision_of(engine) or ""
        copy = None
        if engine.dialect.name == "sqlite" and before not in {"", migrate.newest()}:
            source = Path(str(engine.url.database))
            copy = source.with_name(f"{source.stem}.before-{before}.db")
            _copy(source, copy)
        _, after = migrate.upgrade(engine)
    except SQLAlchemyError as error:
        raise SystemFault("SY021", why=type(error).__name__) from error
    finally:
        engine.dispose()
    return before, after, copy


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        raise UsageError("US003", f"{target.name} exists already")
    with closing(sqlite3.connect(source)) as database:
        database.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)
