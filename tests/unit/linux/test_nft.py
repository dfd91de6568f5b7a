import struct
from collections.abc import Iterator

import pytest

from argosy.linux import netlink, nft
from argosy.linux.netlink import NLM_F_ACK, attributes


class Recorder:
    """A netlink socket that keeps what is sent and acknowledges everything."""

    def __init__(self) -> None:
        self.sent = b""
        self._sequence = 0

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def send(self, data: bytes) -> None:
        self.sent += data

    def acknowledge(self, sequences: set[int], what: str) -> None:
        self.awaited = sequences

    def messages(self) -> Iterator[tuple[int, int, int, bytes]]:
        position = 0
        while position < len(self.sent):
            length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", self.sent, position)
            yield kind, flags, sequence, self.sent[position + 16 : position + length]
            position += length


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def commit(batch: nft.Batch, recorder: Recorder) -> None:
    batch.commit(recorder)  # type: ignore[arg-type]


def test_a_batch_without_changes_says_nothing(recorder: Recorder) -> None:
    commit(nft.Batch("t"), recorder)
    assert recorder.sent == b""


def test_changes_travel_between_the_marks_of_one_batch(recorder: Recorder) -> None:
    batch = nft.Batch("t")
    batch.add_table()
    batch.add_chain("c")
    commit(batch, recorder)
    kinds = [kind for kind, _, _, _ in recorder.messages()]
    assert kinds == [0x10, 10 << 8 | 0, 10 << 8 | 3, 0x11]


def test_the_end_of_a_batch_is_known_by_the_answer_to_its_last_change(recorder: Recorder) -> None:
    batch = nft.Batch("t")
    for number in range(3):
        batch.add_element("s", bytes([number]))
    commit(batch, recorder)
    asked = [sequence for _, flags, sequence, _ in recorder.messages() if flags & NLM_F_ACK]
    assert asked == [max(recorder.awaited)]


def test_each_change_names_the_table(recorder: Recorder) -> None:
    batch = nft.Batch("mine")
    batch.add_table()
    batch.add_element("s", b"key!", b"data")
    commit(batch, recorder)
    changes = list(recorder.messages())[1:-1]
    assert [attributes(body[4:])[1] for _, _, _, body in changes] == [b"mine\0", b"mine\0"]


def test_a_concatenated_type_has_six_bits_for_each_part() -> None:
    assert nft.concatenated_type(nft.TYPE_IPV4) == 7
    assert nft.concatenated_type(nft.TYPE_IPV4, nft.TYPE_PROTO, nft.TYPE_SERVICE) == 7 << 12 | 12 << 6 | 13


def test_numbers_in_expressions_are_big_endian() -> None:
    inner = attributes(attributes(nft.load_meta(nft.META_OIFNAME))[1])
    assert inner[1] == b"meta\0"
    assert attributes(inner[2]) == {1: b"\0\0\0\1", 2: b"\0\0\0\7"}


def test_a_dump_that_the_kernel_tore_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {b"%d" % number: b"" for number in range(10)}
    torn = dict(list(whole.items())[:7])
    dumps = [torn, whole, torn, whole, whole, torn]
    monkeypatch.setattr(nft, "_dumped", lambda *_: dumps.pop(0))
    with netlink.Socket() as unused:
        assert nft.elements(unused, "t", "s") == whole
    assert dumps == [torn]
