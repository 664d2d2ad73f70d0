"""The sites as a campaign sees them: who is online, one question to many, an answer or a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cordon_common.wire import Rpc


@dataclass(frozen=True)
class Answer:
    """What came back from a site: reply bytes, or the code of why there are none."""

    data: bytes = b""
    code: str = ""
    elapsed_s: float = 0.0


class SiteNetwork(Protocol):
    """The way to the sites; names are the roster's."""

    def online(self) -> frozenset[str]:
        """Name the sites whose gateway is connected now."""

    def ask(
        self, rpc: Rpc, requests: Mapping[str, bytes], timeout_s: float, shared: bytes = b""
    ) -> dict[str, Answer]:
        """Ask several sites at once and wait for all answers or the time limit.

        shared: what every request ends with, so that weights are held and sent once.
        Guarantee: one answer per request, in the order of the requests.
        """
