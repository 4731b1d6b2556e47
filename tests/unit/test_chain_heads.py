from depin_desktop.chain.heads import Heads


def subscribed() -> Heads:
    heads = Heads("ws://127.0.0.1:9", lambda _: None)
    heads._take({"id": 1, "result": "0x1"})
    return heads


def test_an_idle_chain_is_not_a_silent_subscription() -> None:
    heads = subscribed()
    assert not any(heads.is_silent(10, patience_s=-1) for _ in range(3))


def test_a_block_that_was_never_told_of_is() -> None:
    heads = subscribed()
    assert not heads.is_silent(10, patience_s=-1)
    assert heads.is_silent(11, patience_s=-1)
    assert not heads.is_silent(11, patience_s=60)


def test_a_new_subscription_begins_anew() -> None:
    heads = subscribed()
    heads.is_silent(10, patience_s=-1)
    heads._take({"id": 1, "result": "0x2"})
    assert not heads.is_silent(11, patience_s=-1)
