"""The job is settings only, always the same bytes, and names what both sides have installed."""

import importlib
import io
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from cordon_common.errors import UsageError
from cordon_server.transport.job import build_job
from cordon_server.transport.superlink import INSTALLED_SERVER_APP

JOB = Path(__file__).resolve().parents[3] / "configs" / "job"


def entries(bundle):
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_bundle_holds_no_code():
    assert set(entries(build_job(JOB))) == {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        ".info/CONTENT",
    }


def test_building_it_again_gives_the_same_bytes():
    assert build_job(JOB) == build_job(JOB)


def test_files_that_lie_about_do_not_get_in(tmp_path):
    shutil.copytree(JOB, tmp_path / "job")
    (tmp_path / "job" / "cordon_client").mkdir()
    (tmp_path / "job" / "cordon_client" / "evil.py").write_text("print('hello')")
    assert build_job(tmp_path / "job") == build_job(JOB)


def test_its_components_are_the_installed_apps():
    components = tomllib.loads((JOB / "pyproject.toml").read_text())["tool"]["flwr"]["app"][
        "components"
    ]
    assert components["serverapp"] == INSTALLED_SERVER_APP
    for reference, kind in (
        (components["serverapp"], ServerApp),
        (components["clientapp"], ClientApp),
    ):
        module, _, attribute = reference.partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), kind)


def test_a_missing_file_is_named(tmp_path):
    shutil.copytree(JOB, tmp_path / "job")
    (tmp_path / "job" / "LICENSE").unlink()
    with pytest.raises(UsageError) as refused:
        build_job(tmp_path / "job")
    assert refused.value.code == "US002"
    assert "LICENSE" in refused.value.why


def test_a_job_that_flower_does_not_accept_is_a_coded_error(tmp_path):
    shutil.copytree(JOB, tmp_path / "job")
    (tmp_path / "job" / "pyproject.toml").write_text('[project]\nname = "x"\n')
    with pytest.raises(UsageError, match="US001"):
        build_job(tmp_path / "job")
