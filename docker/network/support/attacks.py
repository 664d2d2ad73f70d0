"""What the attacks have in common: the tally, a plain HTTPS client, hostile requests, worse studies."""

import hashlib
import json
import sys
import zipfile

from firewalled import SERVER, sh

TALLY = []


CLIENT = """
import http.client, json, ssl, sys
host, port, ca, cert, key, token, requests = *sys.argv[1:7], json.loads(sys.argv[7])
context = ssl.create_default_context(cafile=ca)
if cert:
    context.load_cert_chain(cert, key)
answers = []
for method, path, size in requests:
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    try:
        headers = {"content-type": "application/protobuf"} | ({"x-cordon-control": token} if token else {})
        connection.putrequest(method, path, skip_host=False)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(size))
        connection.endheaders(b"\\0" * size)
        answers.append(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        answers.append(type(error).__name__)
    finally:
        connection.close()
print(json.dumps(answers))
"""


def tally(what, tried, refused, logged):
    """Note an attack for the table at the end; every attempt must have been refused."""
    TALLY.append((what, tried, refused, logged))
    assert refused == tried, what
    assert logged, f"{what}: nothing in the log"


def calls(consortium, at, port, requests, *, cert="", key="", token="", ca=None):
    ca = ca or consortium.folder / "edge" / "ca.crt"
    where = (SERVER, port, ca, cert, key, token, json.dumps(requests))
    done = sh(*consortium.net.inside(at, sys.executable, "-c", CLIENT, *where))
    return json.loads(done.stdout)


CONTROL = [
    f"/v1/control/{call}"
    for call in (
        "start-run",
        "stop-run",
        "list-runs",
        "register-node",
        "unregister-node",
        "list-nodes",
        "stream-logs",
        "list-federations",
    )
]


RUNTIME = [
    f"/v1/runtime/{call}"
    for call in (
        "acquire-task",
        "pull-task-input",
        "push-task-output",
        "get-nodes",
        "push-messages",
        "pull-messages",
        "get-run",
    )
]


TRICKS = [
    "/v1/fleet/../control/start-run", "/v1/fleet/%2e%2e/control/start-run", "/v1/fleet/..%2fcontrol/start-run",
    "//v1/control/start-run", "/v1//control/start-run", "/v1/./control/start-run", "/V1/CONTROL/start-run",
    "/v1/fleet/..;/control/start-run", "/v1/fleet/%2e%2e%2fcontrol%2fstart-run", "/v1/control/start-run?x=/v1/fleet/",
    "/v1/fleet/../../docs", "/v1/fleet/..%5ccontrol%5cstart-run", "/v1/fleet/%252e%252e/control/start-run",
]  # fmt: skip


def ledger_of(consortium, site):
    out = consortium.folder / "now.zip"
    consortium.cordon("site", "export", consortium.site(site), "-o", out)
    with zipfile.ZipFile(out) as bundle:
        return bundle.read("entries.jsonl").splitlines()


def refusal(vault, rpc, data):
    """The code with which the vault refuses, or None when it answered."""
    from cordon_common.errors import CordonError

    try:
        vault.call(rpc, data)
    except CordonError as error:
        return error.code
    return None


def hostile_requests(digest):
    """Bytes for every call: malformed, mistyped, out of the plan, with paths and scripts inside."""
    from cordon_common.wire import DescribeRequest, ReceiptsRequest, ReleaseRequest, Slot, encode

    unknown = "sha256:" + hashlib.sha256(b"unknown").hexdigest()
    for study in (unknown, digest):
        for phase in ("qc", "train", "evaluate"):
            for round_, attempt in ((0, 10**6), (10**9, 0), (2**40, 2**40)):
                slot = Slot(study=study, run="x", phase=phase, round=round_, attempt=attempt)
                yield phase, encode(ReleaseRequest(slot=slot), {})
    yield "describe", encode(DescribeRequest(study=unknown, run="x"), {})
    yield "receipts", encode(ReceiptsRequest(study=unknown, run="x"), {})
    good = encode(DescribeRequest(study=digest, run="x"), {})
    for trick in (
        b"../../etc/passwd",
        b"/data/north.csv",
        b"'; DROP TABLE entry; --",
        b"{{7*7}}",
        b"\x00" * 64,
        b"\xff\xfe",
    ):
        for rpc in ("describe", "qc", "train", "evaluate", "receipts"):
            yield rpc, trick
            yield rpc, good.replace(digest.encode(), trick)
    for cut in (1, len(good) // 2, len(good) - 1):
        yield "describe", good[:cut]
    for rpc in ("qc", "train", "evaluate", "receipts"):
        yield rpc, good  # a request for another call


def variations(payload):
    """The signed study with one thing made worse for the patients each."""

    def changed(*path, value):
        copy = json.loads(json.dumps(payload))
        place = copy
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return copy

    noise = payload["privacy"]["noise"]
    lower = {k: v / 10 if isinstance(v, float) else v for k, v in noise.items()}
    yield "less noise than its epsilon needs", changed("privacy", "noise", value=lower)
    yield "a permit that has expired", changed("permit", "end_date", value="2020-01-01")
    raised = json.loads(json.dumps(changed("privacy", "epsilon", value=50.0)))
    yield "an epsilon above the policy", raised
    yield (
        "a roster without this hospital's key",
        changed("roster", value=[e for e in payload["roster"] if e["site"] != "north"]),
    )
