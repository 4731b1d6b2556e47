"""What customers of compute ask, whom they choose, and what they remember."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import numpy
import pytest
import wasmtime

from depin_desktop.core.database import Database
from depin_desktop.core.errors import UserFacingError
from depin_desktop.customer.compute.asks import EmbeddingAsk, TextAsk
from depin_desktop.customer.compute.canaries import wasm_canary
from depin_desktop.customer.compute.hosts import (
    CHAT,
    EMBEDDING,
    WASM,
    Host,
    HostKey,
    Wish,
    hosts_of,
    in_order,
    nobody,
    with_stand_ins,
)
from depin_desktop.customer.compute.jobs import OnnxAsk, WasmAsk
from depin_desktop.customer.compute.scores import Scores
from depin_desktop.customer.compute.trust import Standing, Verdict
from depin_desktop.net.offers import ComputeOffer, ModelOffer, NodeOffer, WasmOffer
from depin_desktop.net.work_receipts import WorkUsage

SHA = "ab" * 32
TOKEN = 10**18


def offer(
    owner: str, *, price: int = 1, rate: float = 10, slots: int = 1, kind: str = CHAT, name: str = "m"
) -> NodeOffer:
    model = ModelOffer(
        kind=kind,  # type: ignore[arg-type]
        name=name,
        sha256=SHA,
        engine="e 1",
        slots=slots,
        context_tokens=2048,
        rate=rate,
        price_in_per_mtoken=price * TOKEN,
        price_out_per_mtoken=price * TOKEN,
        price_per_run_second=0,
    )
    wasm = WasmOffer(
        engine="w 1", slots=1, rate=1e9, price_per_gfuel=10, price_per_second=0, max_memory_bytes=1 << 20, max_seconds=5
    )
    return NodeOffer(
        owner=owner, operator=owner, payout=owner, node_id="00" * 32, addresses=(), chain_id=1, issued_at=0,
        expires_at=1, compute=ComputeOffer(models=(model,), wasm=wasm),
    )  # fmt: skip


def machines(owner: str, *served: dict[str, object]) -> NodeOffer:
    """One provider that serves a model on several machines."""
    node = offer(owner)
    assert node.compute is not None
    (model,) = node.compute.models
    models = tuple(model.model_copy(update=one) for one in served)
    return node.model_copy(update={"compute": node.compute.model_copy(update={"models": models})})


def order(hosts: list[Host], standings: dict[str, Standing] | None = None, flying: dict[str, int] | None = None) -> str:
    ask = TextAsk.of(CHAT, {"messages": [{"role": "user", "content": "hello"}]})
    found = in_order(
        hosts,
        ask.ceiling,
        lambda key: (standings or {}).get(key.owner, Standing()),
        lambda key: (flying or {}).get(key.owner, 0),
        now=1e9,
    )
    return "".join(host.owner for host in found)


# --- choosing --------------------------------------------------------------------------------------------------------


def test_who_asks_by_name_lets_another_machine_of_the_same_provider_stand_in() -> None:
    ask = TextAsk.of(CHAT, {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "model": "m"})
    other = {"sha256": "cd" * 32, "engine": "e 2"}
    dearer = {"sha256": "ef" * 32, "price_out_per_mtoken": 2 * TOKEN}
    another = {"sha256": "01" * 32, "name": "another"}
    nodes = [machines("a", {}, other, dearer, another), offer("b")]
    hosts = hosts_of(nodes, CHAT)
    host = next(host for host in hosts if host.key.model == SHA)

    def sent(model: str) -> object:
        chosen = with_stand_ins(host, hosts, model, ask.ceiling)
        return json.loads(ask.request(chosen).body).get("models")

    assert sent("m") == sent("") == ["cd" * 32]  # neither a dearer one, nor another model, nor another provider's
    assert sent(SHA) is None  # a hash means that model and no other
    assert (
        ask.request(host).parameters_hash == ask.request(with_stand_ins(host, hosts, "m", ask.ceiling)).parameters_hash
    )


def test_models_are_found_by_name_by_hash_and_by_kind() -> None:
    offers = [offer("a", name="small"), offer("b", name="large"), offer("c", kind=EMBEDDING)]
    assert [host.owner for host in hosts_of(offers, CHAT, "small")] == ["a"]
    assert [host.owner for host in hosts_of(offers, CHAT, SHA)] == ["a", "b"]
    assert [host.owner for host in hosts_of(offers, CHAT, SHA[:12])] == ["a", "b"]
    assert hosts_of(offers, CHAT, SHA[:4]) == []
    assert [host.owner for host in hosts_of(offers, "completion", "")] == ["a", "b"]
    assert [host.owner for host in hosts_of(offers, EMBEDDING)] == ["c"]
    assert [host.owner for host in hosts_of(offers, WASM)] == ["a", "b", "c"]


def test_the_cheapest_is_asked_first_then_the_fastest() -> None:
    hosts = hosts_of([offer("a", price=3), offer("b", price=1), offer("c", price=1, rate=99)], CHAT)
    assert order(hosts) == "cba"


def test_who_is_at_work_for_us_already_comes_last() -> None:
    hosts = hosts_of([offer("a", price=1), offer("b", price=5), offer("c", price=1, slots=2)], CHAT)
    assert order(hosts, flying={"a": 1, "c": 1}) == "cba"


def test_a_bad_record_makes_a_provider_dear_and_a_lie_keeps_work_away() -> None:
    hosts = hosts_of([offer("a", price=1), offer("b", price=2)], CHAT)
    assert order(hosts, {"a": Standing(served=1, failed=9)}) == "ba"
    assert order(hosts, {"a": Standing().after(Verdict.WRONG, 1e9)}) == "b"


def test_wishes_bound_price_rate_and_who() -> None:
    (host,) = hosts_of([offer("a", rate=10)], CHAT)
    assert Wish().suits(host, 10)
    assert not Wish(max_price=9).suits(host, 10)
    assert not Wish(min_rate=11).suits(host, 10)
    assert not Wish(owners=frozenset({"b"})).suits(host, 10)
    assert not Wish(avoid=frozenset({"a"})).suits(host, 10)


@pytest.mark.parametrize(
    ("counts", "code"),
    [((0, 0, 0), "no-providers"), ((2, 0, 0), "unknown-model"), ((2, 1, 0), "none-suits"), ((2, 1, 1), "none-left")],
)
def test_it_says_why_nobody_can_be_asked(counts: tuple[int, int, int], code: str) -> None:
    error = nobody(CHAT, "m", *counts)
    assert error.code == code
    assert error.remedy


# --- asks ------------------------------------------------------------------------------------------------------------


def test_sampled_text_gets_a_seed_and_a_limit_so_that_it_can_be_repeated() -> None:
    ask = TextAsk.of(CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 0.7})
    (host,) = hosts_of([offer("a")], CHAT)
    sent = json.loads(ask.request(host).body)
    assert isinstance(sent["seed"], int)
    assert sent["max_tokens"] > 0
    assert sent["model"] == SHA
    assert ask.request(host).path == "/compute/v1/chat/completions"
    check = ask.checking(WorkUsage(completion_tokens=9))
    assert check.body["seed"] == sent["seed"]
    assert check.body["logprobs"] is True
    assert not check.streamed


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": ["x"], "max_tokens": "many"}])
def test_a_body_that_is_no_chat_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(UserFacingError):
        TextAsk.of(CHAT, body)


def test_a_prompt_of_ten_megabytes_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(UserFacingError) as refused:
        TextAsk.of(CHAT, {"messages": [{"role": "user", "content": "x" * (10 << 20)}]})
    assert refused.value.status == 413


def test_streams_and_whole_answers_read_the_same() -> None:
    whole = json.dumps(
        {
            "choices": [{"message": {"content": "Hello you"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9},
        }
    ).encode()
    chunks = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in ("Hello", " you")]
    chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    chunks += [{"choices": [], "usage": {"prompt_tokens": 9}}]
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    stream += b'event: depin.receipt\ndata: {"job": "x"}\n\ndata: [DONE]\n\n'
    assert TextAsk.read(whole) == TextAsk.read(stream)
    ask = TextAsk.of(CHAT, {"messages": ["x"], "temperature": 0})
    assert ask.compare(stream, whole) is Verdict.RIGHT
    assert ask.compare(b"{}", whole) is Verdict.WRONG
    assert ask.compare(whole, b"{}") is Verdict.UNCLEAR


def test_likelihoods_are_read_in_both_forms() -> None:
    chat = {
        "choices": [
            {
                "message": {"content": "a"},
                "logprobs": {
                    "content": [{"token": "a", "logprob": -0.1, "top_logprobs": [{"token": "b", "logprob": -2}]}]
                },
            }
        ]
    }
    plain = {
        "choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-0.1], "top_logprobs": [{"b": -2}]}}]
    }
    for answer in (chat, plain):
        (token,) = TextAsk.read(json.dumps(answer).encode()).tokens
        assert (token.text, token.logprob, token.others) == ("a", -0.1, {"b": -2.0})


def test_embeddings_compare_whatever_their_form() -> None:
    ask = EmbeddingAsk.of({"model": "m", "input": ["x"]})
    answer = json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.0]}]}).encode()
    other = json.dumps({"data": [{"index": 0, "embedding": [0.0, 1.0]}]}).encode()
    assert ask.compare(answer, answer) is Verdict.RIGHT
    assert ask.compare(other, answer) is Verdict.WRONG
    assert ask.compare(b"nonsense", answer) is Verdict.WRONG
    assert ask.compare(answer, b"nonsense") is Verdict.UNCLEAR


def _npz(**arrays: numpy.ndarray) -> bytes:
    out = io.BytesIO()
    numpy.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def test_onnx_answers_compare_number_by_number() -> None:
    ask = OnnxAsk(SHA, b"")
    good = _npz(y=numpy.array([1.0, 2.0]))
    assert ask.compare(_npz(y=numpy.array([1.0, 2.0001])), good) is Verdict.RIGHT
    assert ask.compare(_npz(y=numpy.array([1.0, 2.5])), good) is Verdict.WRONG
    assert ask.compare(_npz(z=numpy.array([1.0, 2.0])), good) is Verdict.WRONG
    assert ask.compare(_npz(y=numpy.array([1.0])), good) is Verdict.WRONG
    assert ask.compare(b"junk", good) is Verdict.WRONG


def test_a_job_asks_for_no_more_than_its_host_allows() -> None:
    (host,) = hosts_of([offer("a")], WASM)
    ask = WasmAsk(b"\0asm....", b"in", fuel=10**9, memory=1 << 30, seconds=60)
    assert ask.limits_at(host) == (10**9, 1 << 20, 5)
    assert ask.ceiling(host) == 10
    assert ask.request(host).path.endswith(f"/{ask.model}?fuel=1000000000&memory=1048576&seconds=5.0")
    with pytest.raises(UserFacingError):
        WasmAsk(b"#!/bin/sh")


# --- canaries and memory ---------------------------------------------------------------------------------------------


def test_the_canary_module_answers_what_python_says(tmp_path: Path) -> None:
    canary = wasm_canary(random.Random(7))
    assert isinstance(canary.ask, WasmAsk)
    engine = wasmtime.Engine()
    for module in (canary.ask.module, wasmtime.wat2wasm(_wat(canary.ask.module))):
        linker, store, config = wasmtime.Linker(engine), wasmtime.Store(engine), wasmtime.WasiConfig()
        linker.define_wasi()
        (tmp_path / "in").write_bytes(canary.ask.stdin)
        config.stdin_file = str(tmp_path / "in")
        config.stdout_file = str(tmp_path / "out")
        store.set_wasi(config)
        instance = linker.instantiate(store, wasmtime.Module(engine, bytes(module)))
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        start(store)
        del store, instance, start
        assert (tmp_path / "out").read_bytes() == canary.answer


def _wat(module: bytes) -> str:
    """The source with the module's own salt."""
    source = (Path(__file__).parent / "canary.wat").read_text()
    plain = wasmtime.wat2wasm(source)
    at = bytes(plain).index(b"saltsalt")
    return source.replace("saltsalt", "".join(f"\\{byte:02x}" for byte in module[at : at + 8]))


async def test_what_was_seen_outlives_the_session_and_two_processes_do_not_lose_each_others(tmp_path: Path) -> None:
    key = HostKey("a", CHAT, SHA, "e 1")
    first, second = Database(tmp_path / "x.sqlite"), Database(tmp_path / "x.sqlite")
    await first.open()
    await second.open()
    one, other = Scores(first), Scores(second)
    await one.open()
    await other.open()
    for scores in (one, other):
        scores.served(key, rate=10.0, charged=5)
        scores.checked(key, Verdict.RIGHT)
        await scores.flush()
    assert other.standing(key).streak == 2
    assert other.standing(key).spent == 10
    one.checked(key, Verdict.WRONG)
    one.failed(key)
    await one.flush()
    again = Scores(second)
    await again.open()
    seen = again.standing(key)
    assert (seen.streak, seen.right, seen.wrong, seen.served, seen.failed) == (0, 2, 1, 2, 1)
    assert [row.owner for row in again.rows()] == ["a"]
    await first.close()
    await second.close()


async def test_an_agreed_answer_is_asked_of_others_later_and_of_each_only_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite")
    await database.open()
    scores = Scores(database)
    await scores.open()
    ask = TextAsk.of(CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 0})
    await scores.keep(ask, SHA, b"answer", {"a", "b"})
    await scores.keep(ask, SHA, b"answer", {"a", "b"})
    assert await scores.canary(CHAT, SHA, "a") is None
    found = await scores.canary(CHAT, SHA, "c")
    assert found is not None
    assert (found.ask, found.answer) == (ask, b"answer")
    assert await scores.canary(CHAT, SHA, "c") is None
    sampled = TextAsk.of(CHAT, {"messages": [{"role": "user", "content": "y"}]})
    await scores.keep(sampled, SHA, b"answer", {"a"})
    assert await scores.canary(CHAT, SHA, "d") is not None
    assert await scores.canary(CHAT, SHA, "d") is None
    await database.close()
