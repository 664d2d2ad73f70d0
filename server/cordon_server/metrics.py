"""What an operator may watch about a coordinator (Prometheus text format); counts and states only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

from cordon_common.errors import CordonError, SystemFault
from cordon_server.runs import control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.registry import Collector

    from cordon_server.coordinator import Coordinator
    from cordon_server.store import CampaignState

_STATES = ("ready", "running", "stopped", "finished")


class CoordinatorCollector:
    """Reads store, log and SuperLink at every scrape; keeps nothing."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the metrics; while the store does not answer, `cordon_up` is 0 and the rest absent."""
        up = GaugeMetricFamily("cordon_up", "1 while store and log can be read")
        try:
            found = list(self._families())
        except CordonError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found

    def _families(self) -> Iterator[GaugeMetricFamily]:
        coordinator = self._coordinator
        sites = GaugeMetricFamily("cordon_sites", "Sites by state", labels=["state"])
        sites.add_metric(["enrolled"], len(coordinator.store.sites()))
        sites.add_metric(["revoked"], len(coordinator.store.revoked_sites()))
        sites.add_metric(["online"], self._online())
        yield sites
        log = GaugeMetricFamily("cordon_log_entries", "Entries of the append-only log")
        log.add_metric([], coordinator.log.size())
        yield log
        yield from _campaigns(coordinator.store.campaigns())

    def _online(self) -> int:
        try:
            with control(self._coordinator.home) as connection:
                return sum(node.online for node in connection.nodes())
        except CordonError:
            return 0


def _campaigns(campaigns: tuple[CampaignState, ...]) -> Iterator[GaugeMetricFamily]:
    counts = Counter(campaign.status for campaign in campaigns)
    states = GaugeMetricFamily("cordon_campaigns", "Campaigns by state", labels=["state"])
    for state in _STATES:
        states.add_metric([state], counts[state])
    yield states
    rounds = GaugeMetricFamily(
        "cordon_campaign_rounds", "Committed training rounds of a campaign", labels=["campaign"]
    )
    for campaign in campaigns:
        rounds.add_metric([campaign.campaign], campaign.round)
    yield rounds


def serve_metrics(collector: Collector, port: int, address: str = "127.0.0.1") -> WSGIServer:
    """Serve `/metrics` from a thread of this process, for as long as it lives.

    Raises:
        SystemFault: SY071 when the port cannot be opened.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, _ = start_http_server(port, address, registry)
    except OSError as error:
        raise SystemFault("SY071", why=error.strerror or "") from None
    return server
