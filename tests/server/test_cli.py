"""What a coordinator types: data on stdout, words on stderr, every failure coded with a next step."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
import yaml
from hospitals import FakeHospital, study_value

from cordon_common.cli import console
from cordon_common.cli.main import main
from cordon_common.ledger.entries import COORDINATOR_KINDS
from cordon_server import campaign as campaign_module
from cordon_server.coordinator import open_coordinator


@pytest.fixture(autouse=True)
def fresh_console(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    console.stderr.cache_clear()
    yield
    console.stderr.cache_clear()


@pytest.fixture
def cordon(capsys):
    """Run a command line; return its exit code, stdout and stderr."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def coordinator(cordon, port):
    code, _, _ = cordon(
        "coordinator", "init", "c", "--name", "duo", "--address", f"127.0.0.1:{port}"
    )
    assert code == 0


@pytest.fixture
def hospitals(tmp_path):
    (tmp_path / "sites").mkdir()
    made = {name: FakeHospital(name, tmp_path / "sites") for name in ("north", "south", "east")}
    yield made
    for hospital in made.values():
        hospital.ledger.close()


@pytest.fixture
def enrolled(coordinator, cordon, hospitals, tmp_path):
    for name, hospital in hospitals.items():
        (tmp_path / f"{name}.request.json").write_bytes(hospital.enrolment())
        code, _, _ = cordon("coordinator", "enrol", f"{name}.request.json", "--home", "c")
        assert code == 0
    return hospitals


@pytest.fixture
def signed(enrolled, cordon, tmp_path):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(study_value([])))
    assert cordon("study", "sign", "tiny.yaml", "--home", "c")[0] == 0
    return enrolled


class DirectNetwork:
    """The hospitals without a network between."""

    def __init__(self, hospitals):
        self.hospitals = hospitals

    def online(self):
        return frozenset(self.hospitals)

    def ask(self, rpc, requests, timeout_s, arrays=b""):
        from cordon_server.network import Answer

        return {
            site: Answer(self.hospitals[site].answer(head + arrays))
            for site, head in requests.items()
        }


@pytest.fixture
def trained(signed, tmp_path):
    with open_coordinator(tmp_path / "c") as coordinator:
        stored = coordinator.store.find_study("tiny")
        for hospital in signed.values():
            hospital.approve(stored.envelope)
        campaign = coordinator.store.add_campaign(stored, coordinator.clock)
        network = DirectNetwork(signed)
        campaign_module.drive(campaign_module.open_campaign(coordinator, campaign, network))
    return campaign


# -- the way through ---------------------------------------------------------------------------------


def test_a_kit_is_written_where_it_is_wanted(coordinator, cordon, hospitals, tmp_path):
    (tmp_path / "r.json").write_bytes(hospitals["north"].enrolment())
    code, out, err = cordon(
        "coordinator", "enrol", "r.json", "-o", "k.json", "--home", "c", "--json"
    )
    assert code == 0
    value = json.loads(out)
    assert value["site"] == "north"
    assert value["fingerprint"] == hospitals["north"].key.public.fingerprint
    assert value["registered"] is False
    assert (tmp_path / "k.json").is_file()
    assert err == ""


def test_status_lists_sites_and_studies(signed, cordon):
    code, out, _ = cordon("coordinator", "status", "c", "--json")
    assert code == 0
    value = json.loads(out)
    assert [site["site"] for site in value["sites"]] == ["east", "north", "south"]
    assert [(study["study"], study["status"]) for study in value["studies"]] == [("tiny", "signed")]
    code, out, err = cordon("coordinator", "status", "c")
    assert out == ""
    assert "north" in err


def test_a_plan_compares_trust_models_for_sites_that_are_typed(cordon):
    cordon("study", "new", "s", "-o", "s.yaml")
    sites = ("--sites", "north=180,east=90,south=60", "--lifetime", "10:1e-4")
    code, out, _ = cordon("study", "plan", "s.yaml", "--fast", "--json", *sites)
    planned = json.loads(out)
    assert code == 0
    assert [each["trust_model"] for each in planned["trust_models"]] == ["local", "secure-sum"]
    assert [site["expected_patients"] for site in planned["sites"]] == [200, 100, 50]
    assert all(site["budget"]["admitted"] for site in planned["sites"])
    code, _, err = cordon("study", "plan", "s.yaml", "--fast", *sites)
    assert code == 0
    assert "Under each trust model" in err


@pytest.mark.parametrize("typed", [("--sites", "north"), ("--lifetime", "much")])
def test_a_plan_says_how_sites_and_budgets_are_typed(cordon, typed):
    cordon("study", "new", "s", "-o", "s.yaml")
    code, _, err = cordon("study", "plan", "s.yaml", "--fast", *typed)
    assert code == 2
    assert "US001" in err
    assert typed[0] in err


def test_a_new_study_can_be_planned_as_it_is(cordon):
    assert cordon("study", "new", "sepsis", "-o", "s.yaml")[0] == 0
    code, out, _ = cordon("study", "plan", "s.yaml", "--fast", "--json")
    assert code == 0
    assert json.loads(out)["epsilon"]["pld"] <= 3.0
    code, out, err = cordon("study", "plan", "s.yaml", "--fast")
    assert out == ""
    assert "nothing is spent" in err


def test_signing_prints_the_digest_that_the_sites_approve(signed, cordon, tmp_path):
    envelope = json.loads((tmp_path / "tiny.signed.json").read_text())
    assert {entry["site"] for entry in envelope["payload"]["roster"]} == set(signed)
    code, out, _ = cordon("study", "sign", "tiny.yaml", "--home", "c", "--json")
    assert code == 0
    with open_coordinator(tmp_path / "c") as coordinator:
        assert coordinator.store.find_study("tiny").digest == json.loads(out)["digest"]


def test_a_dry_run_shows_the_cost_and_starts_nothing(signed, cordon, tmp_path):
    code, out, _ = cordon("study", "launch", "tiny", "--home", "c", "--dry-run", "--json")
    assert code == 0
    sites = json.loads(out)["sites"]
    assert {item["site"] for item in sites} == set(signed)
    assert all(0 < item["epsilon"]["pld"] <= 3.0 for item in sites)
    with open_coordinator(tmp_path / "c") as coordinator:
        assert coordinator.store.campaigns() == ()


def test_a_finished_campaign_is_watched_reported_and_exported(trained, cordon, tmp_path):
    code, out, _ = cordon("study", "watch", "tiny", "--home", "c", "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["event"] == "view"
    assert lines[-1]["status"] == "finished"
    assert [e["round"] for e in lines if e["event"] == "round.finished"] == [0, 1, 2, 3]
    code, _, err = cordon("study", "watch", "tiny", "--home", "c")
    assert code == 0
    assert "round 4 of 4" in err
    assert cordon("study", "watch", "tiny", "--home", "c", "--once")[0] == 0
    code, out, _ = cordon("study", "report", "tiny", "--home", "c", "-o", "r.html", "--json")
    assert code == 0
    assert json.loads(out)["campaign"] == trained
    assert "Privacy facts" in (tmp_path / "r.html").read_text()
    assert cordon("study", "export", "tiny", "--home", "c", "-o", "b.zip")[0] == 0
    assert cordon("study", "resume", "tiny", "--home", "c")[0] == 0


def test_two_exports_are_the_same_bytes(trained, cordon, tmp_path):
    for name in ("one.zip", "two.zip"):
        assert cordon("study", "export", "tiny", "--home", "c", "-o", name)[0] == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_the_audit_finds_nothing_wrong_with_the_coordinators_bundle(trained, cordon):
    assert cordon("study", "export", "tiny", "--home", "c", "-o", "b.zip")[0] == 0
    _, out, _ = cordon("audit", "verify", "b.zip", "--json")
    rows = [row for part in json.loads(out)["parts"] for row in part["rows"]]
    assert [row for row in rows if row["status"] == "FAIL"] == []
    assert len([row for row in rows if row["status"] == "PASS"]) > 6


# -- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("coordinator", "init", "c", "--name", "Not A Slug", "--address", "h:1"), 2, "PR004"),
        (("coordinator", "init", "full", "--name", "x", "--address", "h:1"), 2, "US003"),
        (("coordinator", "status", "nowhere"), 2, "US020"),
        (("coordinator", "enrol", "missing.json", "--home", "c0"), 2, "US002"),
        (("coordinator", "enrol", "page.html", "--home", "c0"), 2, "PR009"),
        (("study", "new", "Bad Name"), 2, "PR001"),
        (("study", "new", "x", "-o", "page.html"), 2, "US003"),
        (("study", "plan", "missing.yaml"), 2, "US002"),
        (("study", "plan", "page.html"), 2, "PR00"),
        (("study", "sign", "bad.yaml", "--home", "c0"), 2, "PR001"),
        (("study", "sign", "good.yaml", "--home", "c0"), 2, "US024"),
        (("study", "launch", "unknown", "--home", "c0"), 2, "US021"),
        (("study", "launch", "page.html", "--home", "c0"), 2, "PR003"),
        (("study", "watch", "unknown", "--home", "c0"), 2, "US021"),
        (("study", "report", "unknown", "--home", "c0"), 2, "US021"),
        (("study", "export", "unknown", "--home", "c0"), 2, "US021"),
    ],
)
def test_every_mistake_has_a_code_a_reason_and_a_next_step(
    cordon, monkeypatch, tmp_path, columns, arguments, exit_code, code
):
    monkeypatch.setenv("COLUMNS", columns)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "page.html").write_text("<!doctype html><title>502</title><p>: x: [y</p>")
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(study_value([]) | {"surprise": 1}))
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(study_value([])))
    assert cordon("coordinator", "init", "c0", "--name", "x", "--address", "127.0.0.1:1")[0] == 0
    found, out, err = cordon(*arguments)
    assert found == exit_code
    assert out == ""
    assert f"error {code}" in err
    assert "next: " in err
    assert "Traceback" not in err


def test_a_study_that_was_never_launched_cannot_be_watched(signed, cordon):
    for command in (("watch",), ("resume",), ("report",)):
        code, _, err = cordon("study", *command, "tiny", "--home", "c")
        assert code == 2
        assert "error US023" in err


def test_without_a_superlink_nothing_is_launched(signed, cordon, tmp_path):
    code, _, err = cordon("study", "launch", "tiny", "--home", "c")
    assert code == 4
    assert "cordon coordinator serve" in err
    with open_coordinator(tmp_path / "c") as coordinator:
        assert coordinator.store.campaigns() == ()


def test_a_second_launch_has_to_be_asked_for(trained, cordon, tmp_path, monkeypatch):
    monkeypatch.setattr("cordon_server.runs.register_sites", lambda _: {})
    code, _, err = cordon("study", "launch", "tiny", "--home", "c")
    assert code == 2
    assert "error US022" in err


def test_a_stopped_campaign_ends_watching_with_its_own_code(signed, cordon, tmp_path):
    with open_coordinator(tmp_path / "c") as coordinator:
        stored = coordinator.store.find_study("tiny")
        campaign = coordinator.store.add_campaign(stored, coordinator.clock)
        with pytest.raises(Exception, match="CK020"):
            campaign_module.drive(
                campaign_module.open_campaign(coordinator, campaign, DirectNetworkRefusing(signed))
            )
    code, _, err = cordon("study", "watch", "tiny", "--home", "c")
    assert code == 1
    assert "error CK020" in err
    assert "north (PO111)" in err
    assert "cordon study resume tiny" in err


class DirectNetworkRefusing(DirectNetwork):
    """Hospitals that never approved anything."""

    def ask(self, rpc, requests, timeout_s, arrays=b""):
        from cordon_server.network import Answer

        return {site: Answer(code="PO111") for site in requests}


def test_a_port_in_use_is_said_so(coordinator, cordon, port):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        code, _, err = cordon("coordinator", "serve", "c")
    assert code == 4
    assert "error NE002" in err


def test_a_changed_log_stops_every_command(signed, cordon, tmp_path):
    import sqlite3

    connection = sqlite3.connect(tmp_path / "c" / "log.db")
    connection.execute("DROP TRIGGER entry_no_update")
    connection.execute("UPDATE entry SET entry = CAST(replace(entry, 'north', 'sorth') AS BLOB)")
    connection.commit()
    connection.close()
    code, _, err = cordon("coordinator", "status", "c")
    assert code == 1
    assert "error IN10" in err


def test_only_a_site_under_review_can_be_let_in(signed, cordon, tmp_path):
    with open_coordinator(tmp_path / "c") as coordinator:
        stored = coordinator.store.find_study("tiny")
        coordinator.store.add_campaign(stored, coordinator.clock)
    code, _, err = cordon("study", "resume", "tiny", "--home", "c", "--let-in", "north")
    assert code == 2
    assert "error US001" in err


# -- speed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["cordon_server.cli.coordinator", "cordon_server.cli.study"])
def test_the_commands_are_imported_without_anything_heavy(module):
    code = (
        f"import {module}, sys;"
        "heavy = {'rich.live', 'numpy', 'scipy', 'sqlalchemy', 'flwr', 'jinja2', 'pydantic'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_phase_that_is_logged_is_one_that_exists():
    assert {"campaign.started.v1", "gate.decided.v1"} <= set(COORDINATOR_KINDS)
