"""One site's share of a masked sum: whom it is made with, and the masks that hide it.

The vault derives the number of sites, the share of noise and the masks from the approved study and
from keys that the roster's hospitals signed; the coordinator only says who takes part now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cordon_common.errors import PolicyRefused
from cordon_common.privacy.schedule import smallest_sum
from cordon_common.securesum.keys import announce, open_roster, public_bytes
from cordon_common.securesum.masks import Attempt, apply_masks, masks_of, pair_secrets
from cordon_common.securesum.ring import to_ring
from cordon_common.signing import PublicKey
from cordon_common.wire import SumRequest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from cordon_client.vault.live_policy import LivePolicy
    from cordon_client.vault.sum_keys import SumKeys
    from cordon_common.protocol.study import Study
    from cordon_common.securesum.keys import Roster
    from cordon_common.securesum.ring import RingBits
    from cordon_common.signing import Envelope, SigningKey
    from cordon_common.wire import Arrays, ReleaseRequest


@dataclass(frozen=True)
class Share:
    """The right to release one share: the checked roster, and what the masks are bound to."""

    message: SumRequest
    roster: Roster
    own: X25519PrivateKey

    @property
    def sites(self) -> int:
        """How many sites take part; decides the share of noise."""
        return len(self.roster.keys)


class Masking:
    """One hospital's part in masked sums. identity: signs the keys; policy: may ask for more sites."""

    def __init__(self, identity: SigningKey, site: str, policy: LivePolicy, keys: SumKeys) -> None:
        self._identity = identity
        self._site = site
        self._policy = policy
        self._keys = keys

    def announce(self, study: Study, run: str) -> Envelope | None:
        """Return this site's signed key for the masked sums of a run, if the study asks for any."""
        if study.privacy.trust_model == "local":
            return None
        own = self._keys.key(study.digest, run)
        return announce(self._identity, own, study=study.digest, run=run, site=self._site)

    def share_of(self, study: Study, message: ReleaseRequest | SumRequest) -> Share | None:
        """Check who takes part in an attempt; None for a release without masks.

        Raises:
            PolicyRefused: PO106 when the study asks for the other kind of request, PO120 for fewer
                sites than study and policy ask for, PO121 when this site is not among them with the
                key that it holds.
            IntegrityError: IN030 for a key that the approved roster's hospital did not sign for
                this run.
        """
        masked = message.slot.phase == "train" and study.privacy.trust_model == "secure-sum"
        if masked != isinstance(message, SumRequest):
            raise PolicyRefused("PO106")
        if not isinstance(message, SumRequest):
            return None
        slot = message.slot
        roster = open_roster(
            message.roster,
            study=slot.study,
            run=slot.run,
            identities={entry.site: PublicKey.parse(entry.key) for entry in study.roster},
        )
        if len(roster.keys) < max(smallest_sum(study), self._policy.now().study.min_sites):
            raise PolicyRefused("PO120")
        own = self._keys.key(study.digest, slot.run)
        if roster.keys.get(self._site) != public_bytes(own):
            raise PolicyRefused("PO121")
        return Share(message, roster, own)

    def mask(
        self, share: Share, noised: npt.NDArray[np.int64], asked: str, bits: RingBits
    ) -> Arrays:
        """Return the array that may leave: noised integers under the masks with all other sites.

        asked: the digest of the whole request, weights included. Uses up `noised`.
        Guarantee: uniform in the ring for whoever lacks the key of one other site; the masks are
        gone from the sum of exactly the sites of this attempt that were asked exactly this.

        Raises:
            IntegrityError: IN030 for a key with which nothing would be secret.
        """
        values = to_ring(noised, bits)
        attempt = Attempt(share.message.slot, share.roster.digest, asked)
        secrets = pair_secrets(self._site, share.own, share.roster)
        apply_masks(values, masks_of(self._site, secrets, attempt))
        return {"masked": values}

    def forget(self, study: str) -> None:
        """Forget the keys of a study; nobody can take the masks off what left from then on."""
        self._keys.forget(study)
