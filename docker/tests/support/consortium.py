"""A consortium of compose projects on a real engine, set up by typing what the guides say."""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
UID = 10001
SITES = ("north", "east", "south")
START_S = 30


def docker(*arguments, check=True, timeout=180, **options):
    """Run one docker command and return what it did."""
    done = subprocess.run(
        ["/usr/bin/docker", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        **options,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done


def inspect(name):
    """What the engine knows about a container or an image."""
    return json.loads(docker("inspect", name).stdout)[0]


def wait_until(ready, what, timeout_s):
    """Wait for something to become true; say what did not. Returns the seconds it took."""
    started = time.monotonic()
    while not ready():
        if time.monotonic() - started > timeout_s:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.5)
    return time.monotonic() - started


@dataclass
class Project:
    """One compose project, as an institution runs it, with the few settings of this test."""

    name: str
    file: Path
    override: Path
    environment: dict

    def compose(self, *arguments, check=True, timeout=240):
        """Run docker compose for this project."""
        done = subprocess.run(
            [
                *("/usr/bin/docker", "compose", "-p", self.name),
                *("-f", self.file, "-f", self.override),
                *map(str, arguments),
            ],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=os.environ | self.environment,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{self.name}: {arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def container(self, service):
        """The name of a service's container."""
        return f"{self.name}-{service}-1"

    def healthy(self, service):
        """Whether the engine's own health check passed."""
        state = inspect(self.container(service))["State"]
        return state.get("Health", {}).get("Status") == "healthy"


@dataclass
class Federation:
    """A coordinator and three hospitals, each its own compose project on one engine."""

    folder: Path
    coordinator: Project
    sites: dict = field(default_factory=dict)
    started_s: dict = field(default_factory=dict)

    @property
    def work(self):
        """The coordinator's folder of exchanged files."""
        return self.folder / "coordinator"

    def desk(self, site):
        """A hospital's folder of exchanged files."""
        return self.folder / site / "desk"

    def at_coordinator(self, *arguments, check=True, timeout=240):
        """Type a command in the running coordinator's container."""
        return self.coordinator.compose(
            "exec", "-T", "coordinator", "cordon", *arguments, check=check, timeout=timeout
        )

    def at_desk(self, site, *arguments, check=True):
        """Type `cordon site ...` at a hospital's desk."""
        return self.sites[site].compose("run", "--rm", "-T", "desk", *arguments, check=check)

    def carry(self, source, target):
        """Carry a file from one institution to another, as people do."""
        target.write_bytes(source.read_bytes())
        os.chown(target, UID, UID)


def folder_of(path):
    """A folder that the containers' account owns."""
    path.mkdir(parents=True)
    os.chown(path, UID, UID)
    return path


def coordinator_project(folder):
    """The coordinator, at a name that only this test's engine knows."""
    override = folder / "coordinator.override.yaml"
    override.write_text("services: {}\n")
    return Project(
        "ci-coordinator",
        DOCKER / "coordinator.compose.yaml",
        override,
        {"CORDON_WORK": str(folder_of(folder / "coordinator"))},
    )


def site_project(folder, site, number, data):
    """A hospital whose relay finds the coordinator's published port at the engine's own address."""
    override = folder / f"{site}.override.yaml"
    override.write_text('services: {relay: {extra_hosts: ["coordinator.test:172.30.0.1"]}}\n')
    return Project(
        f"ci-{site}",
        DOCKER / "site.compose.yaml",
        override,
        {
            "CORDON_DATA": str(data),
            "CORDON_DESK": str(folder_of(folder / site / "desk")),
            "CORDON_COORDINATOR_HOST": "coordinator.test",
            "CORDON_INSIDE_SUBNET": f"172.29.{number}.0/24",
            "CORDON_INSIDE_RANGE": f"172.29.{number}.128/25",
            "CORDON_RELAY_ADDRESS": f"172.29.{number}.2",
            "CORDON_VAULT_MEMORY": "3g",
        },
    )


def study_file(folder, rounds):
    """The repository's breast-cancer study, shorter, where only fewer rounds are wanted."""
    text = (ROOT / "configs" / "studies" / "breast-cancer.yaml").read_text()
    assert "\n  rounds: 30" in text
    path = folder / "study.yaml"
    path.write_text(text.replace("\n  rounds: 30", f"\n  rounds: {rounds}"))
    os.chown(path, UID, UID)
    return path


def set_up_coordinator(federation):
    """What the coordinator's people type once."""
    project = federation.coordinator
    home = ("init", "/coordinator", "--name", "consortium", "--address", "coordinator.test:8443")
    project.compose("run", "--rm", "-T", "coordinator", "coordinator", *home)
    project.compose("run", "--rm", "-T", "coordinator", "coordinator", "edge", "/edge")
    project.compose("up", "-d", "coordinator", "proxy")
    ready = wait_until(lambda: project.healthy("coordinator"), "the coordinator", 300)
    federation.started_s["coordinator"] = ready


def set_up_site(federation, site):
    """What a hospital's people type once, and what both sides carry to each other."""
    desk, work = federation.desk(site), federation.work
    federation.carry(ROOT / "configs" / "policies" / "standard.yaml", desk / "policy.yaml")
    where = ("--name", site, "--data", f"/data/{site}.csv", "--policy", "policy.yaml")
    federation.at_desk(site, "init", "/site", *where)
    (work / f"{site}.json").write_text(federation.at_desk(site, "request", "/site").stdout)
    kit = ("-o", f"/exchange/{site}.kit.json", "--home", "/coordinator")
    federation.at_coordinator("coordinator", "enrol", f"/exchange/{site}.json", *kit)
    federation.carry(work / f"{site}.kit.json", desk / "kit.json")
    federation.at_desk(site, "join", "/site", "kit.json")


def agree(federation, study):
    """Sign the study at the coordinator, approve it at every hospital, start the hospitals."""
    sign = ("study", "sign", f"/exchange/{study.name}", "-o", "/exchange/signed.json")
    federation.at_coordinator(*sign, "--home", "/coordinator")
    for site, project in federation.sites.items():
        federation.carry(federation.work / "signed.json", federation.desk(site) / "signed.json")
        federation.at_desk(site, "approve", "/site", "signed.json", "--by", "ci", "--yes")
        project.compose("up", "-d", "vault", "gateway", "relay")
