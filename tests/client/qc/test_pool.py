"""Work is done here, in processes or on a cluster, with the same result."""

import sys

import pytest

from cordon_client.qc.modalities import modality_named
from cordon_client.qc.pool import Where, carry_out_all
from cordon_common.error_codes import CODES
from cordon_common.errors import UnreachableError, UsageError


def test_an_unknown_modality_is_refused_by_code_with_the_known_ones():
    with pytest.raises(UsageError) as caught:
        modality_named("fortune-telling")
    assert caught.value.code == "US050"


def test_a_cluster_that_does_not_answer_is_said_at_once():
    with pytest.raises(UnreachableError) as caught:
        carry_out_all([], Where(ray="127.0.0.1:1"), None)
    assert caught.value.code == "NE010"
    with pytest.raises(UsageError, match="US001"):
        carry_out_all([], Where(ray="somewhere"), None)


def test_ray_that_is_not_installed_is_said_by_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError) as caught:
        carry_out_all([], Where(ray="127.0.0.1:1"), None)
    assert caught.value.code == "US051"


def test_a_killed_worker_has_a_code_that_speaks_of_memory():
    assert "memory" in CODES["SY050"].fix
