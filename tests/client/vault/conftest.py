"""A small real site (see tests/support/small_site.py), open and behind its airlock."""

import numpy as np
import pytest
from small_site import make_site, write_cohort

from cordon_client.vault.airlock import Airlock


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"))


@pytest.fixture
def vault(site):
    state = site.open_vault()
    yield state
    state.ledger.close()


@pytest.fixture
def airlock(vault):
    return Airlock(vault)


@pytest.fixture
def weights(site):
    return np.zeros(5)
