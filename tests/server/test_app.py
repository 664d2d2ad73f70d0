"""The ServerApp finds its campaign in the run's settings, or says what is missing."""

from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from cordon_common.errors import UsageError
from cordon_server import app as app_module


@pytest.fixture
def carried(monkeypatch):
    """Campaigns that were handed on instead of being run."""
    seen = []
    monkeypatch.setattr(app_module, "run_campaign", lambda *given: seen.append(given))
    return seen


def context(**run_config):
    return Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config)


def test_the_campaign_of_the_run_gets_the_grid_and_the_coordinators_folder(carried, monkeypatch):
    monkeypatch.setenv("CORDON_COORDINATOR_HOME", "/srv/coordinator")
    grid = object()
    app_module.app(grid, context(campaign="heart-1"))
    assert carried == [(grid, Path("/srv/coordinator"), "heart-1")]


@pytest.mark.parametrize("run_config", [{}, {"campaign": ""}, {"campaign": 7}])
def test_a_run_without_a_campaign_is_refused(run_config, carried, monkeypatch):
    monkeypatch.setenv("CORDON_COORDINATOR_HOME", "/srv/coordinator")
    with pytest.raises(UsageError, match="US001"):
        app_module.app(object(), context(**run_config))
    assert carried == []


def test_a_run_without_the_coordinators_folder_is_refused(carried, monkeypatch):
    monkeypatch.delenv("CORDON_COORDINATOR_HOME", raising=False)
    with pytest.raises(UsageError, match="US001"):
        app_module.app(object(), context(campaign="heart-1"))
    assert carried == []
