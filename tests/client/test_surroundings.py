"""What the doctor sees around a part: routes, mounts, the image, each with its fix."""

import hashlib
import json

import pytest
from small_site import clock, make_site, write_cohort

from cordon_client import surroundings
from cordon_client.doctor import examine
from cordon_common import image
from cordon_common.canonical import canonical_bytes
from cordon_common.errors import IntegrityError, UsageError
from cordon_common.signing import SigningKey, seal

HEADING = "Iface\tDestination\tGateway\n"


@pytest.fixture
def site(tmp_path):
    return make_site(tmp_path / "north", write_cohort(tmp_path / "cohort.csv"))


@pytest.fixture
def routes(tmp_path, monkeypatch):
    file, file_6 = tmp_path / "route", tmp_path / "ipv6_route"
    monkeypatch.setattr(surroundings, "ROUTES", file)
    monkeypatch.setattr(surroundings, "ROUTES_6", file_6)

    def write(*destinations, six=()):
        lines = [f"eth0\t{destination}\t00000000\n" for destination in destinations]
        file.write_text(HEADING + "lo\t0000007F\t00000000\n" + "".join(lines))
        file_6.write_text("".join(f"{d} 40 eth0\n" for d in six) + f"{'0' * 32} 00 lo\n")

    return write


def test_a_vault_with_any_route_fails(routes):
    routes()
    assert surroundings.no_network().status == "pass"
    routes("0000001F")
    assert surroundings.no_network().status == "fail"
    routes(six=("fe80" + "0" * 28,))
    found = surroundings.no_network()
    assert (found.status, "network_mode" in found.fix) == ("fail", True)


def test_a_gateway_has_one_network_and_no_way_beyond_it(routes):
    routes("004D1DAC")
    assert surroundings.one_way_out().status == "pass"
    routes("004D1DAC", "00000000")
    assert surroundings.one_way_out().status == "warn"
    routes("004D1DAC", "005D1DAC")
    assert surroundings.one_way_out().status == "fail"


def test_a_gateway_that_sees_keys_or_ledger_fails(site, tmp_path):
    found = surroundings.nothing_to_lose(site.home)
    assert found.status == "fail"
    assert "identity.pem" in found.detail
    empty = type(site.home)(tmp_path / "gateway-only")
    assert surroundings.nothing_to_lose(empty).status == "pass"


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A stand-in image: one installed file, its digest, a bill of materials."""
    folder = tmp_path / "sbom"
    folder.mkdir()
    file = tmp_path / "installed.py"
    file.write_text("x = 1\n")
    line = f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}\n"
    (folder / "files.sha256").write_text(line)
    (folder / "vault.cdx.json").write_text("{}\n")
    monkeypatch.setattr(surroundings, "image_facts", lambda: image.image_facts(folder))
    monkeypatch.setattr(surroundings, "changed_files", lambda: image.changed_files(folder))
    monkeypatch.setattr(surroundings, "RELEASES", tmp_path / "releases.json")
    return file


def publish(key, digest, pinned, site):
    payload = {"releases": [{"image": "vault", "version": "0.1.0", "files": digest}]}
    envelope = seal(key, surroundings.RELEASES_TYPE, payload)
    surroundings.RELEASES.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    if pinned is not None:
        text = site.home.config_file.read_text()
        text = "\n".join(x for x in text.splitlines() if not x.startswith("release_key"))
        site.home.config_file.write_text(f"{text}\nrelease_key: {json.dumps(str(pinned))}\n")


def test_an_image_is_held_against_the_publishers_signed_list(site, built):
    digest = surroundings.image_facts()["image-files"]
    key = SigningKey.generate()
    assert surroundings.image(site.home).status == "warn"
    publish(key, digest, None, site)
    found = surroundings.image(site.home)
    assert (found.status, key.public.words in found.fix) == ("warn", True)
    publish(key, digest, key.public, site)
    assert surroundings.image(site.home).detail.endswith("released as vault 0.1.0")
    publish(key, "sha256:" + "0" * 64, key.public, site)
    assert (surroundings.image(site.home).status, surroundings.image(site.home).code) == (
        "fail",
        "IN130",
    )
    publish(SigningKey.generate(), digest, key.public, site)
    with pytest.raises(IntegrityError, match="IN001"):
        surroundings.image(site.home)


def test_a_file_changed_after_the_build_is_named(site, built):
    built.write_text("x = 2\n")
    found = surroundings.image(site.home)
    assert (found.status, found.code) == ("fail", "IN130")
    assert built.name in found.detail


def test_each_part_has_its_own_rows(site, routes):
    routes()
    rows = {
        part: {f.check: f.status for f in examine(site.home, clock, part)}
        for part in ("site", "vault", "gateway")
    }
    assert rows["vault"]["no network"] == "pass"
    assert rows["site"]["budget"] == "pass"
    assert rows["gateway"]["nothing to lose"] == "fail"
    assert "ledger" not in rows["gateway"]
    with pytest.raises(UsageError, match="US001"):
        examine(site.home, clock, "nowhere")
