import asyncio
import time

from argosy.engine import events
from argosy.engine.events import Events


def test_an_event_tells_what_happened_to_whom_and_when() -> None:
    async def body() -> None:
        source = Events()
        queue = source.listen()
        source.publish("container", "start", "c1", {"image": "busybox", "name": "web"})
        event = queue.get_nowait()
        assert event is not None
        assert (event["Type"], event["Action"], event["scope"]) == ("container", "start", "local")
        assert event["Actor"] == {"ID": "c1", "Attributes": {"image": "busybox", "name": "web"}}
        assert (event["status"], event["id"], event["from"]) == ("start", "c1", "busybox")
        assert event["time"] == event["timeNano"] // 10**9
        assert abs(event["timeNano"] - time.time_ns()) < 10**10

    asyncio.run(body())


def test_old_fields_are_written_for_containers_and_images_only() -> None:
    source = Events()
    source.publish("volume", "create", "v", {})
    source.publish("image", "pull", "i", {})
    volume, image = source.recent(lambda _: True)
    assert "status" not in volume
    assert (image["status"], image["id"]) == ("pull", "i")


def test_the_last_events_are_kept_and_can_be_chosen_from() -> None:
    source = Events()
    for number in range(300):
        source.publish("volume", "create", str(number), {})
    kept = source.recent(lambda _: True)
    assert len(kept) == 256
    assert kept[0]["Actor"]["ID"] == "44"
    assert len(source.recent(lambda event: event["Actor"]["ID"] == "299")) == 1


def test_who_listens_no_more_gets_no_more() -> None:
    async def body() -> None:
        source = Events()
        one, other = source.listen(), source.listen()
        source.forget(one)
        source.forget(one)
        source.publish("volume", "create", "v", {})
        assert one.empty()
        assert other.qsize() == 1

    asyncio.run(body())


def test_a_listener_that_falls_behind_is_cut_off() -> None:
    async def body() -> None:
        source = Events()
        queue = source.listen()
        for number in range(events._BACKLOG + 10):
            source.publish("volume", "create", str(number), {})
        received = [queue.get_nowait() for _ in range(queue.qsize())]
        assert received[-1] is None
        assert len(received) == events._BACKLOG + 1

    asyncio.run(body())
