"""The device of a site is its own business: set in site.yaml, refused before anything is charged."""

import pytest
import torch
from small_site import kept

from cordon_client.vault import training
from cordon_common.canonical import canonical_bytes
from cordon_common.errors import CordonError, ProtocolError, SystemFault


def ask_for(site, device):
    text = site.home.config_file.read_text()
    site.home.config_file.write_text(text.replace("device: cpu", f"device: {device}"))


def test_a_new_site_trains_on_the_cpu(site):
    assert site.home.config().performance.device == "cpu"


def test_a_vault_without_the_device_it_is_told_to_use_does_not_start(site, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ask_for(site, "cuda")
    before = site.home.ledger.read_bytes()
    with pytest.raises(SystemFault) as refused:
        site.open_vault()
    assert refused.value.code == "SY072"
    assert "performance.device: cpu" in refused.value.fix
    assert site.home.ledger.read_bytes() == before


def test_a_device_that_nobody_knows_is_a_wrong_configuration(site):
    ask_for(site, "abacus")
    with pytest.raises(ProtocolError) as refused:
        site.home.config()
    assert refused.value.code == "PR004"
    assert "performance.device" in str(refused.value.why)


def test_no_study_can_name_a_device(site):
    assert b"device" not in canonical_bytes(site.study.as_json())


def test_a_device_that_fails_the_proof_is_refused_before_anything_is_charged(
    site, vault, airlock, weights, monkeypatch
):
    kept(airlock.answer("qc", site.request("qc")))
    spent = len(vault.ledger.charges())

    def fails(*_):
        raise SystemFault("SY073")

    monkeypatch.setattr(training, "PatientSums", fails)
    with pytest.raises(CordonError) as refused:
        airlock.answer("train", site.request("train", weights=weights))
    assert refused.value.code == "SY073"
    assert len(vault.ledger.charges()) == spent
    monkeypatch.undo()
    kept(airlock.answer("train", site.request("train", weights=weights)))
    assert len(vault.ledger.charges()) == spent + 1
