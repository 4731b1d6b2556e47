from depin_desktop.api.models import Activity, SetSharing
from depin_desktop.core.bus import EventBus


async def test_a_slow_subscriber_gets_the_newest_snapshot_and_every_activity() -> None:
    bus = EventBus()
    with bus.subscribe() as subscription:
        bus.publish("sharing", SetSharing(on=False))
        for title in ("one", "two"):
            bus.publish("activity", Activity(at=0, kind="proof", title=title))
        bus.publish("sharing", SetSharing(on=True))
        messages = [await subscription.next() for _ in range(3)]
    assert messages[0].data == SetSharing(on=True)
    assert [message.data.title for message in messages[1:]] == ["one", "two"]  # type: ignore[attr-defined]


async def test_a_closed_subscription_receives_nothing_more() -> None:
    bus = EventBus()
    with bus.subscribe() as subscription:
        pass
    bus.publish("sharing", SetSharing(on=True))
    assert not subscription._pending


async def test_who_names_topics_hears_of_these_alone_and_only_they_are_wanted() -> None:
    bus = EventBus()
    assert not bus.wanted("sharing")
    with bus.subscribe("activity") as subscription:
        bus.publish("sharing", SetSharing(on=True))
        bus.publish("activity", Activity(at=0, kind="proof", title="one"))
        assert (await subscription.next()).topic == "activity"
        assert bus.wanted("activity")
        assert not bus.wanted("sharing")
    assert not bus.wanted("activity")
