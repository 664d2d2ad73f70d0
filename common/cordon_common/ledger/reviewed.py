"""What the coordinator's log says about a site that the gate doubted and a person decided on."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cordon_common.ledger.body import Body
from cordon_common.protocol.dictionary import Slug
from cordon_common.wire import Digest, RunId


class ReviewDecided(Body):
    """A person decided about a site under review; `by`: an account id, never a person's name."""

    KIND: ClassVar[str] = "review.decided.v1"
    study: Digest
    run: RunId
    site: Slug
    decision: Literal["let_in", "keep_out"]
    by: str = Field(pattern=r"^[A-Za-z0-9._@-]{0,64}$")
    because: str = Field(min_length=1, max_length=300)
