"""What surrounds a part of the site: routes, mounts, the image it runs from."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.findings import Finding
from cordon_client.kit import read_envelope
from cordon_common.errors import IntegrityError
from cordon_common.image import FOLDER, changed_files, image_facts
from cordon_common.signing import PublicKey

if TYPE_CHECKING:
    from cordon_client.home import SiteHome

ROUTES = Path("/proc/net/route")
ROUTES_6 = Path("/proc/net/ipv6_route")
RELEASES = Path("/etc/cordon/releases.json")
RELEASES_TYPE = "cordon.releases.v1"
_DEFAULT = "00000000"


def routes() -> list[str]:
    """Return where packets may go, as the kernel says it: one hexadecimal IPv4 destination each."""
    lines = ROUTES.read_text(encoding="ascii").splitlines()[1:]
    found = [line.split()[1] for line in lines if line.split()[0] != "lo"]
    lines = ROUTES_6.read_text(encoding="ascii").splitlines() if ROUTES_6.exists() else []
    return found + [line.split()[0] for line in lines if line.split()[-1] != "lo"]


def no_network() -> Finding:
    """The vault: no route at all."""
    found = routes()
    if found:
        fix = "start the vault without a network: network_mode none, see docker/site.compose.yaml"
        return Finding("no network", "fail", f"there are {len(found)} routes", fix)
    return Finding("no network", "pass", "no route, no interface but loopback")


def one_way_out() -> Finding:
    """The gateway: one small network, and no default route behind it."""
    found = [route for route in routes() if len(route) == len(_DEFAULT)]
    if _DEFAULT in found:
        fix = "let it reach the coordinator alone: the relay of docker/site.compose.yaml, or a firewall"
        return Finding("one way out", "warn", "there is a default route: any address", fix)
    if len(found) != 1:
        return Finding(
            "one way out", "fail", f"there are {len(found)} routes", "attach it to one network"
        )
    return Finding("one way out", "pass", "one network, no default route")


def nothing_to_lose(home: SiteHome) -> Finding:
    """The gateway: neither keys, ledger nor settings of the vault are visible."""
    visible = [
        path.name
        for path in (
            home.identity_key,
            home.split_key,
            home.ledger,
            home.config_file,
            Path("/data"),
        )
        if path.exists()
    ]
    if visible:
        fix = "mount gateway/ and run/ alone into the gateway, see docker/site.compose.yaml"
        return Finding("nothing to lose", "fail", f"it can see {', '.join(visible)}", fix)
    return Finding("nothing to lose", "pass", "no data, no identity key, no ledger in sight")


def is_writable(file: Path) -> bool:
    """Tell whether this process could change a file; root could, unless the mount says no."""
    try:
        read_only = bool(os.statvfs(file).f_flag & os.ST_RDONLY)
    except OSError:
        return False
    return not read_only and os.access(file, os.W_OK)


def image(home: SiteHome) -> Finding:
    """The image: every installed file as built, and the build on the publisher's signed list."""
    facts = image_facts()
    if "image-files" not in facts:
        return Finding("image", "pass", "not run from an image")
    changed = changed_files()
    if changed:
        return Finding(
            "image",
            "fail",
            f"{len(changed)} installed files are not as built, the first: {changed[0]}",
            "pull the image again by its digest",
            "IN130",
        )
    short = facts["image-files"][:19]
    if not RELEASES.is_file() or not RELEASES.stat().st_size:
        fix = "give the doctor the publisher's signed list: CORDON_RELEASES in .env"
        return Finding("image", "warn", f"as built, {short}…; there is no list of releases", fix)
    return _listed(home, facts["image-files"])


def _listed(home: SiteHome, digest: str) -> Finding:
    envelope = read_envelope(RELEASES)
    signer = envelope.verify(RELEASES_TYPE)
    trusted = home.config().release_key if home.config_file.is_file() else None
    if trusted is None:
        fix = f"compare {signer.words} with the publisher, then set release_key: {signer} in site.yaml"
        return Finding("image", "warn", "as built; the list's key is not pinned", fix)
    if PublicKey.parse(trusted) != signer:
        raise IntegrityError("IN001", "the list of releases is signed by another key than pinned")
    releases = envelope.payload.get("releases")
    names = [
        f"{release.get('image')} {release.get('version')}"
        for release in (releases if isinstance(releases, list) else [])
        if isinstance(release, dict) and release.get("files") == digest
    ]
    if not names:
        fix = "use an image of the publisher's list, or ask for the newest list"
        return Finding("image", "fail", "the image is not on the list of releases", fix, "IN130")
    return Finding("image", "pass", f"as built, and released as {names[0]}")


def versions() -> Finding:
    """The versions of both own distributions agree."""
    common, client = version("cordon-common"), version("cordon-client")
    if common != client:
        return Finding(
            "versions",
            "fail",
            f"cordon-common {common}, cordon-client {client}",
            "install both in one version",
        )
    where = f"; image {FOLDER}" if FOLDER.is_dir() else ""
    return Finding("versions", "pass", f"cordon {client}{where}")
