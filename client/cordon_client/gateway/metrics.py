"""What an operator may watch about a gateway: calls by kind and code, never what was in them."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.gateway.heartbeat import is_beating
from cordon_client.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

_LOG = logging.getLogger(__name__)
_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Calls:
    """Counts the vault's answers; without a port it counts nothing and imports nothing."""

    def __init__(self) -> None:
        self._counter: Counter | None = None
        self._seconds: Histogram | None = None

    def expose(self, home: Path, port: int, address: str) -> None:
        """Serve what is counted from here on, and whether the gateway is connected."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        from prometheus_client import start_http_server as start

        registry = CollectorRegistry()
        self._counter = Counter(
            "cordon_gateway_calls", "Answers by call and code", ["rpc", "code"], registry=registry
        )
        self._seconds = Histogram(
            "cordon_gateway_call_seconds",
            "Time until the vault had answered",
            ["rpc"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        connected = Gauge(
            "cordon_gateway_connected", "1 while it polls the coordinator", registry=registry
        )
        connected.set_function(lambda: float(is_beating(home)))
        start(port, address, registry)

    def count(self, rpc: str, code: str, seconds: float) -> None:
        """Count one answer; `code` is "ok" or one of the closed table."""
        if self._counter is not None and self._seconds is not None:
            self._counter.labels(rpc, code).inc()
            self._seconds.labels(rpc).observe(seconds)


CALLS = Calls()


def serve_metrics(settings: GatewaySettings) -> None:
    """Open the metrics' port; a gateway whose port is taken works on without metrics."""
    try:
        CALLS.expose(settings.home, settings.metrics_port, settings.metrics_address)
    except OSError as error:
        _LOG.warning("no metrics: port %d: %s", settings.metrics_port, error.strerror)
