"""The coordinator's SuperLink: where it listens, which sites it knows, which runs it carries."""

from __future__ import annotations

import contextlib
import ipaddress
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from cordon_common.errors import UnreachableError
from cordon_server.transport.superlink import SuperLink, SuperLinkSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from cordon_server.coordinator import Coordinator
    from cordon_server.home import CoordinatorHome
    from cordon_server.transport.control import Control

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what a public name must listen on; documented in serve


def superlink_settings(home: CoordinatorHome) -> SuperLinkSettings:
    """Say how the SuperLink of a coordinator runs.

    It listens where the settings say, else on the address itself when that is a number, on localhost when it says so, and on
    all interfaces when it is a public name.
    """
    host, port = home.settings.host, home.settings.port
    if home.settings.listen:
        host, port = (
            home.settings.listen.rsplit(":", 1)[0],
            int(home.settings.listen.rsplit(":", 1)[1]),
        )
    try:
        listen = str(ipaddress.ip_address(host))
    except ValueError:
        listen = "127.0.0.1" if host == "localhost" else ANY_ADDRESS
    return SuperLinkSettings(home=home.root, tls=home.tls, port=port, host=listen)


@contextlib.contextmanager
def control(home: CoordinatorHome) -> Iterator[Control]:
    """Connect to the running SuperLink's Control API.

    Raises:
        UnreachableError: NE001 when it does not run (at the first call); IntegrityError: IN002.
    """
    from cordon_server.transport.control import Control

    settings = superlink_settings(home)
    if not settings.control_token_file.exists():  # the first serve makes it
        raise UnreachableError("NE001", why="it was never started")
    with Control(
        settings.local_address, home.tls.ca_certificate, settings.control_token()
    ) as connection:
        yield connection


def serve(
    coordinator: Coordinator, stopping: threading.Event, on_ready: Callable[[str], None]
) -> None:
    """Run the SuperLink, with every enrolled site registered, until `stopping` is set.

    Raises:
        UnreachableError: NE002 when the port is in use; CordonError: TR010.
    """
    settings = superlink_settings(coordinator.home)
    with SuperLink(settings) as superlink:
        register_sites(coordinator)
        on_ready(settings.local_address)
        superlink.supervise(stopping)


def register_sites(coordinator: Coordinator) -> dict[str, int]:
    """Tell the running SuperLink whose SuperNode keys count and whose no longer do.

    Returns the node ids of the enrolled sites.

    Raises:
        UnreachableError: NE001 when the SuperLink does not run.
    """
    with control(coordinator.home) as connection:
        connection.withdraw_keys(coordinator.store.withdrawn_keys())
        return {
            site.site: connection.enrol(site.supernode_key, site.site)
            for site in coordinator.store.sites()
        }


def try_register_sites(coordinator: Coordinator) -> bool:
    """Register the sites if the SuperLink runs; if not, the next `serve` does."""
    try:
        register_sites(coordinator)
    except UnreachableError:
        return False
    return True


def submit(coordinator: Coordinator, campaign: str) -> str:
    """Start a Flower run for a campaign, after ending an older one; return the run's id.

    Raises:
        UnreachableError: NE001 when the SuperLink does not run.
    """
    from cordon_server.transport.job import build_job

    (state,) = (s for s in coordinator.store.campaigns() if s.campaign == campaign)
    with as_file(files("cordon_server").joinpath("job")) as folder:
        bundle = build_job(folder)
    with control(coordinator.home) as connection:
        for run in connection.unfinished_runs():
            if str(run.run_id) == state.flower_run:
                connection.stop(run.run_id)
        started = connection.submit(bundle, {"study-digest": state.study, "campaign": campaign})
    coordinator.store.set_flower_run(campaign, str(started))
    return str(started)


def run_has_ended(home: CoordinatorHome, flower_run: str) -> bool:
    """Tell whether a Flower run is over, so that nobody carries its campaign any more.

    Raises:
        UnreachableError: NE001 when the SuperLink does not run.
    """
    with control(home) as connection:
        return flower_run not in {str(run.run_id) for run in connection.unfinished_runs()}
