"""Does the coordinator answer, is it the right one, and do the clocks agree? Standard library only."""

import logging
import ssl
import urllib.error
import urllib.request
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from cordon_common.clock import Clock, utc_now
from cordon_common.errors import IntegrityError, UnreachableError

SKEW_WARNING = timedelta(seconds=60)
SKEW_LIMIT = timedelta(seconds=300)  # Flower refuses signatures older than this

_LOG = logging.getLogger(__name__)


def check_coordinator(
    address: str, ca_certificate: Path, *, clock: Clock = utc_now, timeout_s: float = 5.0
) -> timedelta:
    """Return how far this machine's clock is ahead of the coordinator's (its HTTP Date header).

    Any HTTP answer counts, so that it works behind a proxy that exposes the Fleet API only.

    Raises:
        UnreachableError: NE001 no answer, NE003 the certificate is not trusted, NE004 the clocks
            differ by more than 300 s.
        IntegrityError: IN002 when the CA certificate cannot be read.
    """
    context = _tls_context(ca_certificate)
    before = clock()
    date = _date_header(f"https://{address}/health", context, timeout_s)
    after = clock()
    if date is None:
        _LOG.warning("the coordinator sends no Date header; the clocks were not compared")
        return timedelta(0)
    # The header has whole seconds, cut off: on average half a second too early.
    theirs = parsedate_to_datetime(date) + timedelta(seconds=0.5)
    ahead = before + (after - before) / 2 - theirs
    if abs(ahead) > SKEW_LIMIT:
        raise UnreachableError("NE004", why=_skew_text(ahead))
    if abs(ahead) > SKEW_WARNING:
        _LOG.warning("clock warning: %s; set the clock with NTP", _skew_text(ahead))
    return ahead


def _tls_context(ca_certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=ca_certificate)
    except OSError as error:  # ssl.SSLError is one
        raise IntegrityError(
            "IN002", "the coordinator's CA certificate cannot be read", why=type(error).__name__
        ) from None
    return context


def _date_header(url: str, context: ssl.SSLContext, timeout_s: float) -> str | None:
    request = urllib.request.Request(url, method="GET")  # noqa: S310 - https, from settings
    try:
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as answer:  # noqa: S310
            return str(answer.headers["Date"]) if "Date" in answer.headers else None
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.headers["Date"]
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise UnreachableError("NE003", why=reason.verify_message) from None
        why = f"{type(reason).__name__}: {getattr(reason, 'strerror', None) or reason}"
        raise UnreachableError("NE001", why=why) from None


def _skew_text(ahead: timedelta) -> str:
    seconds = ahead.total_seconds()
    side = "ahead of" if seconds > 0 else "behind"
    return f"this machine is {abs(seconds):.0f} s {side} the coordinator"
