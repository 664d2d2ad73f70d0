"""The installed ClientApp: translates Flower messages to vault calls, and nothing else.

Request: ConfigRecord "cordon" with "rpc" (str) and "request" (bytes), and where it is large
"cordon.shared" with "shared" (bytes), the request's end that many sites share. Reply: ConfigRecord
"cordon" with "reply" (bytes), or "refusal" (one code of the closed table, never an error's text).
"""

import logging
import time
from functools import cache
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from cordon_client.gateway.metrics import CALLS
from cordon_client.gateway.vault_client import VaultClient
from cordon_common.errors import CordonError, ProtocolError

RECORD = "cordon"
SHARED_RECORD = "cordon.shared"

_LOG = logging.getLogger(__name__)

app = ClientApp()


@app.query("describe")
def describe(message: Message, context: Context) -> Message:
    """Enrol: the site's answer to a study."""
    return _answer("describe", message, context)


@app.query("qc")
def qc(message: Message, context: Context) -> Message:
    """Local quality control, its releasable summary."""
    return _answer("qc", message, context)


@app.query("receipts")
def receipts(message: Message, context: Context) -> Message:
    """Signed receipts of what the site released."""
    return _answer("receipts", message, context)


@app.train()
def train(message: Message, context: Context) -> Message:
    """One training release."""
    return _answer("train", message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """One evaluation release."""
    return _answer("evaluate", message, context)


def _answer(rpc: str, message: Message, context: Context) -> Message:
    started = time.monotonic()
    try:
        reply = _vault(context).call(rpc, _request_bytes(rpc, message))
        fields: dict[str, bytes | str] = {"reply": reply}
        code = "ok"
    except CordonError as error:
        code = error.code
        fields = {"refusal": code}
    except Exception:  # noqa: BLE001 - Flower would forward the exception's text verbatim
        _LOG.exception("unexpected failure", extra={"rpc": rpc})
        code = "SY999"
        fields = {"refusal": code}
    seconds = time.monotonic() - started
    CALLS.count(rpc, code, seconds)
    _LOG.info("%s answered: %s in %.3f s", rpc, code, seconds)
    return Message(RecordDict({RECORD: ConfigRecord(dict(fields))}), reply_to=message)


def _request_bytes(rpc: str, message: Message) -> bytes:
    record = message.content.config_records.get(RECORD)
    request = record.get("request") if record is not None else None
    if record is None or record.get("rpc") != rpc or not isinstance(request, bytes):
        raise ProtocolError("PR005", why="the Flower message is not one of ours")
    apart = message.content.config_records.get(SHARED_RECORD)
    shared = b"" if apart is None else apart.get("shared")
    if not isinstance(shared, bytes):
        raise ProtocolError("PR005", why="the Flower message is not one of ours")
    return request + shared


def _vault(context: Context) -> VaultClient:
    config = context.node_config
    return _client(str(config["vault-socket"]), float(config["vault-timeout-s"]))


@cache
def _client(socket_path: str, timeout_s: float) -> VaultClient:
    return VaultClient(Path(socket_path), timeout_s)
