"""Masks hide all but the sum: uniform to whoever lacks one key, gone from the sum of all."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from cordon_common.errors import IntegrityError, SystemFault
from cordon_common.securesum.keys import (
    announce,
    key_of_run,
    open_key,
    open_roster,
    roster_digest,
    shared_secret,
)
from cordon_common.securesum.masks import Attempt, Mask, apply_masks, masks_of, pair_secrets
from cordon_common.securesum.ring import ring_sum, to_ring
from cordon_common.signing import SigningKey
from cordon_common.wire import Slot

STUDY = "sha256:" + "a" * 64
REQUEST = "sha256:" + "b" * 64
NAMES = ("aarhus", "basel", "cork", "delft", "essen")
IDENTITIES = {name: SigningKey.generate() for name in NAMES}
KEYS = {name: key_of_run(name.encode() * 4, study=STUDY, run="run-1") for name in NAMES}


def slot(number=0, attempt=0):
    return Slot(study=STUDY, run="run-1", phase="train", round=number, attempt=attempt)


def envelopes(names):
    return [
        announce(IDENTITIES[name], KEYS[name], study=STUDY, run="run-1", site=name)
        for name in sorted(names)
    ]


def roster_of(names):
    public = {name: key.public for name, key in IDENTITIES.items()}
    return open_roster(envelopes(names), study=STUDY, run="run-1", identities=public)


def share(name, values, names, bits=64, at=None, request=REQUEST):
    roster = roster_of(names)
    vector = to_ring(np.array(values, dtype=np.int64), bits)
    attempt = Attempt(at or slot(), roster.digest, request)
    apply_masks(vector, masks_of(name, pair_secrets(name, KEYS[name], roster), attempt))
    return vector


@settings(max_examples=40, deadline=None)
@given(
    st.sets(st.sampled_from(NAMES), min_size=2),
    st.sampled_from([32, 64]),
    st.integers(1, 70_000),
    st.integers(0, 2**32 - 1),
)
def test_a_sum_is_exact_whoever_takes_part(names, bits, size, seed):
    limit = 2 ** (bits - 1) // len(NAMES)
    rng = np.random.default_rng(seed)
    values = {name: rng.integers(-limit, limit, size) for name in names}
    shares = [share(name, values[name], names, bits) for name in names]
    np.testing.assert_array_equal(ring_sum(shares, bits), sum(values.values()))


@settings(max_examples=30, deadline=None)
@given(st.sets(st.sampled_from(NAMES), min_size=2), st.data())
def test_after_dropouts_nothing_is_left_and_the_next_attempt_is_exact(names, data):
    gone = data.draw(st.sets(st.sampled_from(sorted(names)), min_size=1, max_size=len(names) - 1))
    left = names - gone
    values = {name: np.arange(100) + 7 for name in names}
    void = ring_sum([share(name, values[name], names) for name in left], 64)
    assert np.abs(void.astype(float)).min() > 2.0**40
    if len(left) >= 2:
        again = [share(name, values[name], left, at=slot(attempt=1)) for name in left]
        np.testing.assert_array_equal(ring_sum(again, 64), len(left) * (np.arange(100) + 7))


def uniform(data):
    """The p-value of a chi-square test of bytes against the uniform distribution."""
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("missing", NAMES)
def test_any_vectors_but_one_look_uniform_together(missing, bits):
    """Bytes of each vector, of their sum, and of differences: all that K-1 vectors could betray."""
    zeros = np.zeros(100_000, dtype=np.int64)
    seen = [share(name, zeros, NAMES, bits) for name in NAMES if name != missing]
    views = [
        *seen,
        np.add.reduce(seen, dtype=seen[0].dtype),
        seen[0] - seen[1],
        seen[0] + seen[1] - seen[2],
    ]
    chances = [uniform(view.tobytes()) for view in views]
    assert min(chances) > 1e-6
    assert max(chances) < 1 - 1e-6
    correlation = np.corrcoef([view.astype(float) for view in seen])
    assert np.abs(correlation - np.eye(len(seen))).max() < 0.02


def test_the_uniformity_test_notices_what_it_must():
    noised = np.random.default_rng(1).normal(0, 2.0**26, 100_000).astype(np.int64)
    assert uniform(to_ring(noised, 64).tobytes()) < 1e-6


def test_colluding_sites_learn_the_honest_sum_and_nothing_of_its_parts():
    """Whoever holds the coalition's keys takes off its masks: uniform parts, exact sum."""
    coalition, honest = {"delft", "essen"}, ["aarhus", "basel", "cork"]
    values = {name: np.full(100_000, 10**9 * (i + 1)) for i, name in enumerate(honest)}
    roster, stripped = roster_of(NAMES), []
    for name in honest:
        vector = share(name, values[name], NAMES)
        secrets = {other: shared_secret(KEYS[other], roster.keys[name]) for other in coalition}
        known = masks_of(name, secrets, Attempt(slot(), roster.digest, REQUEST))
        apply_masks(vector, [Mask(mask.key, not mask.subtracted) for mask in known])
        stripped.append(vector)
    assert all(uniform(vector.tobytes()) > 1e-6 for vector in stripped)
    assert all(uniform(np.add(a, b).tobytes()) > 1e-6 for a, b in [stripped[:2], stripped[1:]])
    np.testing.assert_array_equal(ring_sum(stripped, 64), sum(values.values()))


@pytest.mark.parametrize(
    "changed",
    [
        {"at": slot(1)},
        {"at": slot(attempt=1)},
        {"request": "sha256:" + "c" * 64},
        {"names": NAMES[:4]},
    ],
)
def test_masks_cancel_only_if_all_agree_on_round_attempt_request_and_roster(changed):
    names = changed.pop("names", NAMES[:3])
    ones = np.ones(64, dtype=np.int64)
    shares = [share(name, ones, NAMES[:3]) for name in NAMES[:2]]
    shares.append(share(NAMES[2], ones, names, **changed))
    assert np.abs(ring_sum(shares, 64).astype(float)).min() > 2.0**40


def test_every_attempt_hides_under_fresh_masks():
    zeros = np.zeros(1000, dtype=np.int64)
    seen = {share("basel", zeros, NAMES, at=slot(n, a)).tobytes() for n in range(3) for a in (0, 1)}
    assert len(seen) == 6


def test_keys_come_from_the_secret_alone_and_differ_by_run_and_study():
    again = key_of_run(b"basel" * 4, study=STUDY, run="run-1")
    assert again.private_bytes_raw() == KEYS["basel"].private_bytes_raw()
    for other in (
        key_of_run(b"basel" * 4, study=STUDY, run="run-2"),
        key_of_run(b"basel" * 4, study="sha256:" + "d" * 64, run="run-1"),
        key_of_run(b"cork" * 4, study=STUDY, run="run-1"),
    ):
        assert other.private_bytes_raw() != again.private_bytes_raw()


def test_a_point_of_small_order_is_refused():
    for point in (bytes(32), b"\1" + bytes(31)):
        with pytest.raises(IntegrityError) as refused:
            shared_secret(X25519PrivateKey.generate(), point)
        assert refused.value.code == "IN030"


def test_an_announcement_is_bound_to_its_signer_and_its_words():
    (envelope,) = envelopes(["basel"])
    assert open_key(envelope, IDENTITIES["basel"].public).site == "basel"
    for identity, changed in (
        (IDENTITIES["cork"].public, envelope),
        (
            IDENTITIES["basel"].public,
            envelope.model_copy(update={"payload": envelope.payload | {"run": "run-2"}}),
        ),
    ):
        with pytest.raises(IntegrityError) as refused:
            open_key(changed, identity)
        assert refused.value.code == "IN030"


def test_the_rosters_digest_names_every_key():
    assert roster_of(NAMES).digest == roster_digest(envelopes(NAMES))
    assert roster_of(NAMES[:4]).digest != roster_of(NAMES).digest
    assert roster_of(NAMES).sites == NAMES


@pytest.mark.parametrize("bits", [32, 64])
def test_the_ring_wraps_and_comes_back(bits):
    half = 2 ** (bits - 1)
    edges = np.array([-half, -1, 0, 1, half - 1])
    np.testing.assert_array_equal(ring_sum([to_ring(edges.copy(), bits)], bits), edges)
    top = [to_ring(np.array([half - 1]), bits), to_ring(np.array([1]), bits)]
    assert ring_sum(top, bits)[0] == -half


def test_vectors_that_do_not_fit_together_are_refused():
    wide, short = np.zeros(3, dtype=np.uint64), np.zeros(3, dtype=np.uint32)
    for vectors in (
        [],
        [wide, short],
        [wide, wide[:2]],
        [wide.reshape(1, 3)],
        [wide.view(np.int64)],
    ):
        with pytest.raises(SystemFault) as refused:
            ring_sum(vectors, 64)
        assert refused.value.code == "SY043"
