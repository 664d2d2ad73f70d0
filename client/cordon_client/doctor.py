"""`cordon site doctor`: everything that must hold before a study, one row each, with the fix."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client import surroundings
from cordon_client.findings import Finding
from cordon_client.gateway.vault_client import VaultClient
from cordon_client.kit import read_kit
from cordon_common.errors import CordonError, UsageError, error_for
from cordon_common.probe import SKEW_WARNING, check_coordinator
from cordon_common.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_client.home import SiteHome
    from cordon_common.clock import Clock

FREE_DISK_WARN_BYTES = 1024**3
FREE_DISK_FAIL_BYTES = 64 * 1024**2


def examine(home: SiteHome, clock: Clock, part: str = "site") -> list[Finding]:
    """Run every check of a part; one that fails does not stop the others.

    part: "site" sees everything from one account; "vault" and "gateway" are examined from inside
    their containers, where the other's things must not even be visible.

    Raises:
        UsageError: US001 for another part.
    """
    checks = _checks(home, clock)
    if part not in _PARTS:
        raise UsageError("US001", "--part is site, vault or gateway")
    return [_guarded(name, checks[name]) for name in _PARTS[part]]


_INSIDE = ("configuration", "policy", "keys", "data", "disk", "ledger", "clock", "log", "budget")
_PARTS = {
    "site": (*_INSIDE, "coordinator", "vault", "image", "versions"),
    "vault": (*_INSIDE, "no network", "vault", "image", "versions"),
    "gateway": ("nothing to lose", "one way out", "coordinator", "vault", "image", "versions"),
}


def _checks(home: SiteHome, clock: Clock) -> dict[str, Callable[[], Finding]]:
    return {
        "configuration": lambda: _configuration(home),
        "policy": lambda: _policy(home),
        "keys": lambda: _keys(home),
        "data": lambda: _data(home),
        "disk": lambda: _disk(home),
        "ledger": lambda: _ledger(home, clock),
        "clock": lambda: _clock(home, clock),
        "log": lambda: _seen(home, clock),
        "budget": lambda: _budget(home, clock),
        "coordinator": lambda: _coordinator(home, clock),
        "vault": lambda: _vault(home),
        "no network": surroundings.no_network,
        "one way out": surroundings.one_way_out,
        "nothing to lose": lambda: surroundings.nothing_to_lose(home),
        "image": lambda: surroundings.image(home),
        "versions": surroundings.versions,
    }


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except CordonError as error:
        detail = error.what if not error.why else f"{error.what}: {error.why}"
        return Finding(name, "fail", detail, error.fix, error.code)


def _configuration(home: SiteHome) -> Finding:
    config = home.config()
    return Finding("configuration", "pass", f"site {config.name}, dataset {config.dataset.id}")


def _policy(home: SiteHome) -> Finding:
    from cordon_client.vault.policy import load_policy

    policy = load_policy(home.policy_file)
    if not policy.trusted_coordinators:
        return Finding(
            "policy", "warn", "no coordinator is trusted yet", "run: cordon site join DIR KIT"
        )
    life = policy.lifetime
    return Finding("policy", "pass", f"lifetime epsilon {life.epsilon:g} at delta {life.delta:g}")


def _keys(home: SiteHome) -> Finding:
    SigningKey.load(home.identity_key)
    from cordon_client.enrol import load_split_key

    load_split_key(home)
    for path in (home.identity_key, home.split_key, home.supernode_key):
        if path.exists() and path.stat().st_mode & 0o077:
            return Finding(
                "keys", "fail", f"others can read {path.name}", f"run: chmod 600 {path.name}"
            )
    return Finding("keys", "pass", "readable by this user alone")


def _data(home: SiteHome) -> Finding:
    config = home.config()
    file = Path(config.dataset.file)
    if not file.is_file() or not os.access(file, os.R_OK):
        return Finding(
            "data", "fail", "the cohort file cannot be read", "correct dataset.file in site.yaml"
        )
    if file.stat().st_size > config.limits.data_file_bytes:
        return Finding(
            "data",
            "fail",
            f"the cohort file is larger than {config.limits.data_file_bytes} bytes",
            "check dataset.file, or raise limits.data_file_bytes in site.yaml",
        )
    samples = config.dataset.samples
    if samples is not None and not os.access(samples.sheet, os.R_OK):
        return Finding(
            "data",
            "fail",
            "the sample sheet cannot be read",
            "correct dataset.samples.sheet in site.yaml",
            "DA080",
        )
    if os.geteuid() != 0 and surroundings.is_writable(file):
        return Finding(
            "data", "warn", "readable, but also writable for this user", "mount it read-only"
        )
    return Finding("data", "pass", f"readable, {file.stat().st_size} bytes")


def _disk(home: SiteHome) -> Finding:
    free = shutil.disk_usage(home.root).free
    detail = f"{free / 1024**2:,.0f} MiB free"
    if free < FREE_DISK_FAIL_BYTES:
        return Finding("disk", "fail", detail, "free space before the vault starts", "SY001")
    if free < FREE_DISK_WARN_BYTES:
        return Finding("disk", "warn", detail, "free some space")
    return Finding("disk", "pass", detail)


def _ledger(home: SiteHome, clock: Clock) -> Finding:
    from cordon_client.office import Office

    with Office.open(home, clock=clock) as office:
        return Finding("ledger", "pass", f"intact, {len(office.ledger.log.entries())} entries")


def _budget(home: SiteHome, clock: Clock) -> Finding:
    from cordon_client.office import Office

    with Office.open(home, clock=clock) as office:
        view = office.budget()
    left = view.lifetime_epsilon - view.held_epsilon
    detail = (
        f"{view.held_epsilon:.3g} of {view.lifetime_epsilon:g} held by {len(view.studies)} studies"
    )
    if left <= 0:
        return Finding(
            "budget", "fail", detail, "close finished studies: cordon site close", "BU001"
        )
    if left < 0.1 * view.lifetime_epsilon:
        return Finding("budget", "warn", detail, "close finished studies: cordon site close")
    return Finding("budget", "pass", detail)


def _clock(home: SiteHome, clock: Clock) -> Finding:
    from cordon_client.office import Office
    from cordon_client.vault.policy import check_clock

    with Office.open(home, clock=clock) as office:
        latest = office.ledger.latest_time()
    check_clock(latest, clock())
    return Finding("clock", "pass", f"not behind the ledger's latest entry, {latest}")


def _seen(home: SiteHome, clock: Clock) -> Finding:
    """Say whether the coordinators' logs only grew since this site first saw them."""
    from cordon_client.office import Office

    with Office.open(home, clock=clock) as office:
        logs = office.seen_logs()
    for log in logs:
        if log.code:
            error = error_for(log.code)
            detail = f"{error.what}; refused at {log.refused_at}"
            return Finding("coordinator's log", "fail", detail, error.fix, error.code)
    seen = "; ".join(f"{log.entries} entries at {log.seen_at}" for log in logs)
    return Finding("coordinator's log", "pass", f"only grew: {seen}" if seen else "not seen yet")


def _coordinator(home: SiteHome, clock: Clock) -> Finding:
    if not home.kit_file.is_file():
        return Finding(
            "coordinator", "warn", "no coordinator joined yet", "run: cordon site join DIR KIT"
        )
    kit, key = read_kit(home.kit_file)
    ahead = check_coordinator(kit.address, home.ca_certificate, clock=clock)
    detail = f"{kit.coordinator} answers at {kit.address}, key {key.fingerprint}"
    if abs(ahead) > SKEW_WARNING:
        return Finding(
            "coordinator",
            "warn",
            f"{detail}; clocks differ by {abs(ahead.total_seconds()):.0f} s",
            "set the clock with NTP",
        )
    return Finding("coordinator", "pass", detail)


def _vault(home: SiteHome) -> Finding:
    if not home.socket.exists():
        return Finding("vault", "warn", "not running", "run: cordon site vault DIR")
    client = VaultClient(home.socket, timeout_s=5.0, connect_timeout_s=2.0)
    try:
        ready = client.ready()
    finally:
        client.close()
    if ready:
        return Finding("vault", "pass", "running and ready")
    return Finding("vault", "fail", "running but not ready", "see the vault's log", "TR007")
