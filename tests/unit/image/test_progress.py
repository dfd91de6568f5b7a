from argosy.image.progress import Message, Meter, Progress


def test_a_bar_is_drawn_as_docker_draws_it() -> None:
    messages: list[Message] = []
    Progress(messages.append).bar("abc", "Downloading", 500, 1000)
    assert messages == [
        {
            "status": "Downloading",
            "progressDetail": {"current": 500, "total": 1000},
            "progress": "[" + "=" * 25 + ">" + " " * 25 + "]     500B/1kB",
            "id": "abc",
        }
    ]


def test_a_bar_of_unknown_length_has_only_a_number() -> None:
    messages: list[Message] = []
    Progress(messages.append).bar("abc", "Downloading", 2048, 0)
    assert messages[0]["progress"] == " 2.048kB"


def test_a_meter_is_not_redrawn_for_every_byte_but_reaches_its_end() -> None:
    messages: list[Message] = []
    meter = Meter(Progress(messages.append), "abc", "Downloading", 1000)
    for position in range(1, 1001):
        meter.update(position)
    assert len(messages) < 20
    assert messages[-1]["progressDetail"]["current"] == 1000
