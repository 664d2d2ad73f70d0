"""The store's schema through the versions: made new, recognised, brought up to date (Alembic).

A new store is made as it is now; an older one is never changed by merely opening it. Each step lies
in `migrations/versions/`; a test holds the steps to give exactly what a new store has.
"""

from __future__ import annotations

import contextlib
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, cast

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from cordon_common.errors import SystemFault
from cordon_server.schema import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from alembic.runtime.migration import RevisionStep
    from sqlalchemy import Connection, Engine

    _Revision = str | list[str] | tuple[str, ...]

FIRST = "0001"
"""What a store has that was made before steps were counted (its only mark is `schema_version`)."""
_BEFORE_STEPS = "schema_version"


def newest() -> str:
    """Return the name of the newest step."""
    with as_file(files("cordon_server").joinpath("migrations")) as folder:
        head = _scripts(folder).get_current_head()
    assert head is not None  # noqa: S101 - the package ships at least one step
    return head


def revision_of(engine: Engine) -> str | None:
    """Return the step that a store stands at, or None when it has no tables."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is None and inspect(connection).has_table(_BEFORE_STEPS):
            return FIRST
        return found


def require_current(engine: Engine) -> None:
    """Make the tables of an empty database; refuse a store of another version.

    Raises:
        SystemFault: SY070.
    """
    found = revision_of(engine)
    if found is None:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
            _stamp(connection, newest())
    elif found != newest():
        raise SystemFault("SY070", why=f"its schema is {found}, this version has {newest()}")


def upgrade(engine: Engine, to: str = "head") -> tuple[str, str]:
    """Bring a store up to date in one transaction; return the steps before and after.

    Raises:
        SystemFault: SY070 when a newer version made the store.
    """
    before = revision_of(engine)
    if before is None:
        require_current(engine)
        return "", newest()
    with as_file(files("cordon_server").joinpath("migrations")) as folder:
        scripts = _scripts(folder)
        if before not in {step.revision for step in scripts.walk_revisions()}:
            raise SystemFault("SY070", why=f"its schema {before} is newer than this version")

        def steps(current: _Revision, _context: MigrationContext) -> Iterable[RevisionStep]:
            return scripts._upgrade_revs(to, cast("str", current))  # noqa: SLF001 - as Alembic

        with _whole(engine) as connection:
            if MigrationContext.configure(connection).get_current_revision() is None:
                _stamp(connection, FIRST)
            _run(scripts, connection, steps)
    return before, revision_of(engine) or ""


@contextlib.contextmanager
def _whole(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that covers changes of tables too, which Python's sqlite3 leaves out."""
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        if engine.dialect.name == "sqlite" and driver is not None:
            driver.isolation_level = None
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.commit()
        finally:
            connection.rollback()
            if engine.dialect.name == "sqlite":
                connection.invalidate()  # the driver's setting must not reach the pool


def _run(
    scripts: ScriptDirectory,
    connection: Connection,
    steps: Callable[[_Revision, MigrationContext], Iterable[RevisionStep]],
) -> None:
    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(connection=connection, render_as_batch=True)
        environment.run_migrations()


def _stamp(connection: Connection, revision: str) -> None:
    with as_file(files("cordon_server").joinpath("migrations")) as folder:
        MigrationContext.configure(connection).stamp(_scripts(folder), revision)


def _scripts(folder: Path) -> ScriptDirectory:
    return ScriptDirectory(str(folder))
