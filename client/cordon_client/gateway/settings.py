"""What a gateway needs to know: where the coordinator is, which key it has, where its vault is."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from cordon_common.strict import StrictModel


class GatewaySettings(StrictModel):
    """Settings of one gateway.

    `coordinator` is `host:port`; `node_key` is a P-384 key in OpenSSH PEM format, mode 0600;
    `home` is the gateway's own writable folder; `vault_timeout_s` bounds one vault call;
    `enrolment_wait_s` is how long a key that the coordinator does not know yet is tried again;
    `metrics_port` serves Prometheus metrics at `metrics_address` (0: none).
    """

    site: str
    coordinator: Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.\-]+):[0-9]{1,5}$")]
    ca_certificate: Path
    node_key: Path
    vault_socket: Path
    home: Path
    vault_timeout_s: Annotated[float, Field(gt=0)] = 900.0
    enrolment_wait_s: Annotated[float, Field(ge=0)] = 0.0
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    metrics_address: str = "127.0.0.1"
