"""A store of any earlier version becomes exactly what this version makes, with nothing lost."""

import pytest
from databases import open_postgres
from hospitals import clock
from sqlalchemy import inspect, text

from cordon_common.enrolment import EnrolmentRequest
from cordon_common.errors import SystemFault
from cordon_common.signing import SigningKey
from cordon_server import migrate
from cordon_server.home import CoordinatorSettings, create_home
from cordon_server.maintenance import upgrade_store
from cordon_server.schema import Base
from cordon_server.store import open_engine, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
    else:
        with open_postgres() as found:
            yield found


def make_first(url):
    """A store as the first version left it, with one site in it."""
    engine = open_engine(url)
    with migrate.as_file(migrate.files("cordon_server").joinpath("migrations")) as folder:
        scripts = migrate._scripts(folder)
        with engine.begin() as connection:
            migrate._run(scripts, connection, lambda rev, _: scripts._upgrade_revs("0001", rev))
            connection.execute(text("DROP TABLE alembic_version"))
            connection.execute(text("INSERT INTO schema_version VALUES (1)"))
            connection.execute(text("INSERT INTO site VALUES ('north', 'k', 's', '2026-01-01')"))
    return engine


def described(engine):
    """Tables, columns, keys and indexes, as the database itself tells them."""
    found = inspect(engine)
    return {
        table: (
            {c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(table)},
            found.get_pk_constraint(table)["constrained_columns"],
            sorted(str(k["constrained_columns"]) for k in found.get_foreign_keys(table)),
            sorted(str(i["column_names"]) for i in found.get_indexes(table)),
            sorted(str(u["column_names"]) for u in found.get_unique_constraints(table)),
        )
        for table in found.get_table_names()
    }


def test_the_steps_lead_to_what_a_new_store_has(url):
    engine = make_first(url)
    assert migrate.upgrade(engine) == ("0001", migrate.newest())
    stepped = described(engine)
    with engine.begin() as connection:
        for table in stepped:
            cascade = " CASCADE" if engine.dialect.name == "postgresql" else ""
            connection.execute(text(f'DROP TABLE "{table}"{cascade}'))
    migrate.require_current(engine)
    assert stepped == described(engine)
    assert set(Base.metadata.tables) | {"alembic_version"} == set(stepped)
    engine.dispose()


def test_what_an_older_store_held_is_still_there(url):
    engine = make_first(url)
    migrate.upgrade(engine)
    engine.dispose()
    store = open_store(url)
    assert [(s.site, s.key_serial, s.revoked_at) for s in store.sites()] == [("north", 0, "")]
    key = SigningKey.generate()
    store.add_site(
        EnrolmentRequest(
            site="south", identity_key=str(key.public), supernode_key="ecdsa-sha2-nistp384 AAAA"
        ),
        clock,
    )
    assert [s.site for s in store.sites()] == ["north", "south"]
    store.close()


def test_an_older_or_newer_store_is_not_opened_but_named(url):
    engine = make_first(url)
    with pytest.raises(SystemFault, match="SY070") as caught:
        open_store(url)
    assert "cordon coordinator upgrade" in caught.value.fix
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (lambda: open_store(url), lambda: migrate.upgrade(engine)):
        with pytest.raises(SystemFault, match="SY070"):
            attempt()
    engine.dispose()


def test_a_failing_step_leaves_the_store_as_it_was(url, monkeypatch):
    engine = make_first(url)
    before = described(engine)
    with engine.begin() as connection:  # the step wants to make this table
        connection.execute(text("CREATE TABLE withdrawn_key (x INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE withdrawn_key"))
    assert described(engine) == before
    assert migrate.upgrade(engine) == ("0001", migrate.newest())
    engine.dispose()


def test_the_command_keeps_a_copy_of_the_store_as_it_was(tmp_path):
    settings = CoordinatorSettings(name="consortium", address="127.0.0.1:18443")
    home = create_home(tmp_path / "home", settings, clock)
    make_first(home.store_url).dispose()
    before, after, copy = upgrade_store(home)
    assert (before, after) == ("0001", migrate.newest())
    kept = open_engine(f"sqlite:///{copy}")
    assert migrate.revision_of(kept) == "0001"
    kept.dispose()
    assert upgrade_store(home) == (after, after, None)
