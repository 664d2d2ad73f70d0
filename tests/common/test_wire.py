"""Messages: a closed set, one byte form, finite arrays of two types."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cordon_common.errors import ProtocolError
from cordon_common.wire import (
    DescribeRequest,
    ReleaseRequest,
    Slot,
    arrays_digest,
    decode,
    encode,
    request_digest,
)

STUDY = "sha256:" + "0" * 64
SLOT = Slot(study=STUDY, run="run-1", phase="train", round=3)


def coded_outcome(data):
    try:
        decode(data)
    except ProtocolError as error:
        return error.code
    return ""


def code_of(data):
    with pytest.raises(ProtocolError) as caught:
        decode(data)
    return caught.value.code


@given(
    st.integers(0, 9999),
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
)
def test_a_message_survives_the_wire_bit_for_bit(round_, floats, integers):
    arrays = {"weights": np.array(floats), "release": np.array(integers, dtype=np.int64)}
    request = ReleaseRequest(slot=SLOT.model_copy(update={"round": round_}))
    data = encode(request, arrays)
    message, back = decode(data)
    assert message == request
    assert {name: a.tobytes() for name, a in back.items()} == {
        name: a.tobytes() for name, a in arrays.items()
    }
    assert encode(message, back) == data


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_coded_refusal(data):
    assert coded_outcome(data) in {"", "PR005", "PR008", "PR011"}


@given(st.data())
def test_a_damaged_message_never_gets_past_with_an_uncoded_failure(data):
    whole = bytearray(encode(ReleaseRequest(slot=SLOT), {"weights": np.zeros(5)}))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    assert coded_outcome(bytes(whole)) in {"", "PR005", "PR008", "PR011"}


def with_head(text, arrays=b""):
    head = text.encode()
    return len(head).to_bytes(4, "big") + head + arrays


def test_unknown_kinds_fields_and_phases_are_refused():
    assert code_of(with_head('{"kind":"steal.v1"}')) == "PR005"
    good = '{"kind":"describe.v1","run":"r","study":"' + STUDY + '"%s}'
    decode(with_head(good % ""))
    assert code_of(with_head(good % ',"sigma":0')) == "PR005"
    assert code_of(with_head('{"kind":"release.v1","slot":{}}')) == "PR005"


@pytest.mark.parametrize(
    "array",
    [
        np.array([np.nan]),
        np.array([np.inf]),
        np.zeros(3, dtype=np.float32),
        np.zeros(3, dtype=np.int8),
    ],
)
def test_arrays_of_other_types_or_not_finite_are_refused(array):
    assert code_of(encode(ReleaseRequest(slot=SLOT), {"weights": array})) == "PR008"


def test_a_message_that_is_cut_off_is_refused():
    data = encode(DescribeRequest(study=STUDY, run="r"))
    assert code_of(data[:3]) == "PR005"
    assert code_of(data[:-1]) == "PR005"


def test_the_request_digest_changes_with_slot_and_weights():
    first = request_digest(ReleaseRequest(slot=SLOT), arrays_digest({"weights": np.zeros(3)}))
    other = request_digest(ReleaseRequest(slot=SLOT), arrays_digest({"weights": np.ones(3)}))
    later = request_digest(
        ReleaseRequest(slot=SLOT.model_copy(update={"round": 4})),
        arrays_digest({"weights": np.zeros(3)}),
    )
    assert len({first, other, later}) == 3


def test_a_slot_key_tells_every_part():
    assert SLOT.key == f"{STUDY}|run-1|train|3|0"
