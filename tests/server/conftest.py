"""Federations of fake hospitals around a real coordinator (see tests/support/hospitals.py)."""

from __future__ import annotations

import pytest
from hospitals import Federation


@pytest.fixture
def make_federation(tmp_path):
    made = []

    def make(folder, **study):
        (tmp_path / folder).mkdir()
        made.append(Federation(tmp_path / folder, **study))
        return made[-1]

    yield make
    for federation in made:
        federation.close()


@pytest.fixture
def federation(make_federation):
    return make_federation("one")


@pytest.fixture(scope="module")
def one_federation(tmp_path_factory):
    """A federation that several tests of a module look at."""
    federation = Federation(tmp_path_factory.mktemp("federation"))
    yield federation
    federation.close()
