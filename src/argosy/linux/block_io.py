"""What a control group's processes have read from and written to disks, as the kernel counts it."""

from typing import NamedTuple


class BlockCount(NamedTuple):
    """`operation` is Docker's word on v1 (`Read`, …, `Total`), runc's on v2 (`read`, `write`)."""

    major: int
    minor: int
    operation: str
    value: int


def read_v1(text: str) -> list[BlockCount]:
    """`8:0 Read 4096`; the last line is the sum of all devices."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3:
            major, _, minor = words[0].partition(":")
            found.append(BlockCount(int(major), int(minor), words[1], int(words[2])))
    return found


def read_v2(text: str, unit: str) -> list[BlockCount]:
    """`8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`"""
    found = []
    for line in text.splitlines():
        device, *counters = line.split()
        major, _, minor = device.partition(":")
        values = dict(counter.partition("=")[::2] for counter in counters)
        for letter, operation in (("r", "read"), ("w", "write")):
            value = values.get(letter + unit)
            if value is not None:
                found.append(BlockCount(int(major), int(minor), operation, int(value)))
    return found
