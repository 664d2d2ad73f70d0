"""What a hospital's security officer would look at, asserted on the containers that are running."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from consortium import DOCKER, SITES, START_S, UID, docker, inspect, wait_until

from cordon_common.signing import SigningKey

PARTS = [("vault", "north"), ("gateway", "north"), ("relay", "north")]
MEGABYTES = {"vault": 1200, "gateway": 300, "coordinator": 500, "proxy": 160}
NOT_INSIDE = "pip pip3 uv conda gcc cc g++ clang make ld as apt apt-get dpkg perl curl wget nc ssh sudo su mount"


def container_of(federation, part, site="north"):
    if part in {"coordinator", "proxy"}:
        return federation.coordinator.container(part)
    return federation.sites[site].container(part)


def process_status(container):
    """/proc/PID/status of the container's service, as the kernel sees it from outside."""
    pid = inspect(container)["State"]["Pid"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    text = Path(f"/proc/{(children or [pid])[0]}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


ALL_PARTS = pytest.mark.parametrize("part", ["vault", "gateway", "relay", "coordinator", "proxy"])


@ALL_PARTS
def test_the_process_is_unprivileged_and_has_no_capability(federation, part):
    status = process_status(container_of(federation, part))
    assert {int(uid) for uid in status["Uid"].split()} == {UID}
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


@ALL_PARTS
def test_the_root_is_read_only_and_nothing_in_temporary_space_runs(federation, part):
    found = inspect(container_of(federation, part))
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["Privileged"] is False
    assert "noexec" in found["HostConfig"]["Tmpfs"]["/tmp"]
    tried = docker(
        "exec", container_of(federation, part), "sh", "-c", "echo x > /usr/x", check=False
    )
    assert tried.returncode != 0
    assert "Read-only file system" in tried.stderr


@ALL_PARTS
def test_memory_and_processes_are_limited(federation, part):
    limits = inspect(container_of(federation, part))["HostConfig"]
    assert 0 < limits["Memory"] <= 8 << 30
    assert 0 < limits["PidsLimit"] <= 256


def test_the_vault_has_no_network_at_all(federation):
    name = container_of(federation, "vault")
    assert inspect(name)["HostConfig"]["NetworkMode"] == "none"
    pid = inspect(name)["State"]["Pid"]
    devices = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert Path(f"/proc/{pid}/net/route").read_text().count("\n") == 1  # the heading


def test_the_gateway_reaches_the_relay_and_nothing_else(federation):
    """One interface, into a network that nobody leaves, and in which the host has no address."""
    gateway = container_of(federation, "gateway")
    pid = inspect(gateway)["State"]["Pid"]
    routes = [line.split() for line in Path(f"/proc/{pid}/net/route").read_text().splitlines()[1:]]
    assert {route[0] for route in routes} == {"eth0"}
    network = json.loads(docker("network", "inspect", "ci-north_inside").stdout)[0]
    assert network["Internal"] is True
    probe = "import socket, sys; socket.create_connection((sys.argv[1], 8443), 3)"
    reached = {
        address: docker("exec", gateway, "python3.11", "-c", probe, address, check=False).returncode
        for address in ("172.29.80.2", "172.29.81.2", "172.29.82.2", "203.0.113.10")
    }
    assert reached.pop("172.29.80.2") == 0  # its own relay
    assert all(reached.values()), reached  # other hospitals' relays, and an address outside
    # nobody has the address that an engine gives to its host: a host that had it would refuse
    asked = "import errno, socket; s = socket.socket(); s.settimeout(5); " + (
        "print(errno.errorcode[s.connect_ex(('172.29.80.1', 8443))])"
    )
    heard = docker("exec", gateway, "python3.11", "-c", asked).stdout.strip()
    assert heard in {"EHOSTUNREACH", "EAGAIN"}, heard


def test_data_are_mounted_read_only_and_in_the_vault_alone(federation):
    mounts = {m["Destination"]: m for m in inspect(container_of(federation, "vault"))["Mounts"]}
    assert mounts["/data"]["RW"] is False
    tried = docker(
        "exec",
        container_of(federation, "vault"),
        "sh",
        "-c",
        "echo x >> /data/north.csv",
        check=False,
    )
    assert tried.returncode != 0
    for part in ("gateway", "relay"):
        seen = {m["Destination"] for m in inspect(container_of(federation, part))["Mounts"]}
        assert seen <= {"/site/gateway", "/site/run"}


def test_the_gateway_sees_neither_identity_key_nor_ledger(federation):
    found = docker(
        "exec", container_of(federation, "gateway"), "find", "/site", "-type", "f"
    ).stdout
    names = {Path(line).name for line in found.split()}
    assert not names & {"identity.pem", "split.key", "ledger.db", "policy.yaml", "site.yaml"}
    assert {"supernode", "kit.json", "ca.crt"} <= names


def test_the_proxy_sees_neither_signing_key_nor_store(federation):
    found = docker("exec", container_of(federation, "proxy"), "ls", "/edge").stdout.split()
    assert sorted(found) == ["ca.crt", "server.crt", "server.key"]
    mounts = {
        m["Destination"]: m["RW"] for m in inspect(container_of(federation, "proxy"))["Mounts"]
    }
    assert mounts == {"/edge": False}


def test_the_vaults_socket_is_closed_to_other_accounts(federation):
    mode = docker(
        "exec", container_of(federation, "vault"), "stat", "-c", "%a", "/site/run/vault.sock"
    )
    assert mode.stdout.strip() == "600"


@pytest.mark.parametrize("part", ["vault", "gateway", "coordinator"])
def test_no_compiler_no_installer_and_no_set_uid_program_is_inside(federation, part):
    name = container_of(federation, part)
    script = f"for tool in {NOT_INSIDE}; do command -v $tool; done; true"
    assert docker("exec", name, "sh", "-c", script).stdout.split() == []
    tried = docker("exec", name, "python3.11", "-m", "pip", check=False)
    assert tried.returncode != 0
    found = docker("exec", name, "sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null; true")
    assert found.stdout.split() == []


@pytest.mark.parametrize("image", sorted(MEGABYTES))
def test_an_image_keeps_its_size_budget(engine, image):
    size = inspect(f"cordon/{image}")["Size"] / 1e6
    print(f"cordon/{image}: {size:.0f} MB of {MEGABYTES[image]}")
    assert size <= MEGABYTES[image]


@pytest.mark.parametrize("image", ["vault", "gateway", "coordinator"])
def test_an_image_holds_its_bill_of_materials(engine, image):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    sbom = f"/usr/share/sbom/{image}.cdx.json"
    text = docker(
        "run", "--rm", "--network", "none", "--entrypoint", "cat", f"cordon/{image}", sbom
    )
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text.stdout) is None
    purls = {component["purl"] for component in json.loads(text.stdout)["components"]}
    assert any(purl.startswith("pkg:pypi/cordon-common@") for purl in purls)
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    assert ("pkg:pypi/torch@2.13.0%2Bcpu" in purls) == (image == "vault")
    assert not [purl for purl in purls if purl.startswith(("pkg:pypi/pip@", "pkg:pypi/uv@"))]


@pytest.mark.parametrize("image", ["vault", "gateway", "coordinator"])
def test_every_installed_file_is_the_one_that_the_build_wrote_down(engine, image):
    check = (
        "grep -E 'cordon_|/flwr/|/torch/' /usr/share/sbom/files.sha256 | sha256sum --check --quiet"
    )
    docker("run", "--rm", "--network", "none", "--entrypoint", "sh", f"cordon/{image}", "-c", check)


def test_the_doctor_finds_an_image_on_the_list_that_its_publisher_signed(federation, tmp_path):
    key, listed = SigningKey.generate(), federation.desk("north") / "releases.json"
    key.save(tmp_path / "publisher.pem")
    program = DOCKER / "releases.py"
    signing = [sys.executable, program, tmp_path / "publisher.pem", listed]

    def sign(*images):
        listed.unlink(missing_ok=True)
        subprocess.run([*signing, *images], check=True)
        listed.chmod(0o644)

    def asked():
        mount = f"{listed}:/etc/cordon/releases.json:ro"
        told = federation.sites["north"].compose(
            *("run", "--rm", "-T", "-v", mount, "desk", "doctor", "/site", "--json"), check=False
        )
        (row,) = [row for row in json.loads(told.stdout) if row["check"] == "image"]
        return row["status"], row["detail"]

    sign("cordon/gateway", "cordon/vault")
    assert asked() == ("warn", "as built; the list's key is not pinned")
    pin = f's|^release_key:.*|release_key: "{key.public}"|'
    docker("exec", container_of(federation, "vault"), "sed", "-i", pin, "/site/site.yaml")
    status, detail = asked()
    assert status == "pass", detail
    assert detail.startswith("as built, and released as cordon/vault ")
    sign("cordon/gateway")
    assert asked() == ("fail", "the image is not on the list of releases")


def test_the_ledger_names_the_bill_of_materials(federation):
    exported = federation.at_desk("north", "export", "/site", "-o", "/desk/bundle.zip")
    assert exported.returncode == 0
    import zipfile

    with zipfile.ZipFile(federation.desk("north") / "bundle.zip") as bundle:
        texts = b"".join(bundle.read(name) for name in bundle.namelist())
    sbom = "/usr/share/sbom/vault.cdx.json"
    digest = docker("exec", container_of(federation, "vault"), "sha256sum", sbom).stdout.split()[0]
    assert f"sha256:{digest}".encode() in texts


@pytest.mark.parametrize("part", ["vault", "gateway"])
def test_a_part_restarts_and_is_ready_in_time(federation, part):
    project = federation.sites["north"]
    project.compose("restart", "-t", "10", part)
    command = ("exec", project.container(part), "cordon", "site", "health", "/site", "--part", part)
    took = wait_until(lambda: docker(*command, check=False).returncode == 0, part, 4 * START_S)
    print(f"{part}: ready {took:.1f} s after its restart")
    assert took <= START_S


def test_logs_are_json_and_hold_no_record(federation):
    for part in ("vault", "gateway"):
        name = container_of(federation, part)
        done = docker("logs", name)
        lines = [x for x in (done.stdout + done.stderr).splitlines() if x.strip()]
        assert lines
        assert all(json.loads(line)["time"] for line in lines)
        assert "diagnosis" not in str(lines)


def test_every_hospital_is_its_own_project_with_its_own_volumes(federation):
    volumes = {
        site: {
            m["Name"]
            for m in inspect(container_of(federation, "vault", site))["Mounts"]
            if "Name" in m
        }
        for site in SITES
    }
    assert all(volumes[a].isdisjoint(volumes[b]) for a in SITES for b in SITES if a != b)
