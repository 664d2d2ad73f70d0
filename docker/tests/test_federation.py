"""Coordinator and three hospitals, in containers, train a study to its end; the audit says PASS."""

import json
import time

from consortium import SITES, docker, wait_until


def status_of(federation):
    done = federation.at_coordinator("coordinator", "status", "/coordinator", "--json")
    (study,) = json.loads(done.stdout)["studies"]
    return study


def test_the_study_is_trained_to_the_end_and_verifies(federation):
    federation.at_coordinator("study", "launch", "breast-cancer", "--home", "/coordinator")
    started = time.monotonic()
    interrupted = {}
    while (now := status_of(federation))["status"] != "finished":
        assert now["status"] in {"ready", "running"}, now
        assert time.monotonic() - started < 900, now
        if now["phase"] == "train" and now["round"] >= 2 and not interrupted:
            interrupted = stop_and_start(federation.sites["south"])
        time.sleep(1)
    took = time.monotonic() - started
    print(f"8 rounds over containers, one vault stopped and started: {took:.0f} s")
    assert interrupted == {"vault": 0, "seconds_ok": True}

    federation.at_coordinator(
        "study",
        "export",
        "breast-cancer",
        "-o",
        "/exchange/coordinator.zip",
        "--home",
        "/coordinator",
    )
    bundles = ["/exchange/coordinator.zip"]
    for site in SITES:
        federation.at_desk(site, "export", "/site", "-o", f"/desk/{site}.zip")
        federation.carry(federation.desk(site) / f"{site}.zip", federation.work / f"{site}.zip")
        bundles.append(f"/exchange/{site}.zip")
    verdict = json.loads(federation.at_coordinator("audit", "verify", *bundles, "--json").stdout)
    assert verdict["verdict"] == "PASS", verdict


def stop_and_start(project):
    """Stop a vault in the middle of a round as an operator would, and start it again."""
    name = project.container("vault")
    started = time.monotonic()
    docker("stop", "-t", "10", name)
    within = time.monotonic() - started < 11
    code = json.loads(docker("inspect", "-f", "{{json .State.ExitCode}}", name).stdout)
    docker("start", name)
    wait_until(lambda: project.healthy("vault"), "the vault that was stopped", 90)
    return {"vault": code, "seconds_ok": within}
