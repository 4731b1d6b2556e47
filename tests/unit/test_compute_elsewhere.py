"""What else on the owner's network does work: addresses as people write them, and the file that holds the keys."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute.elsewhere import Elsewhere, base_url, cluster_address, load, save

KEY, TOKEN = "sk-nobody-sees-this", "a-token-nobody-sees"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://192.168.1.20:8000", "http://192.168.1.20:8000/v1"),
        ("http://192.168.1.20:8000/", "http://192.168.1.20:8000/v1"),
        (" https://gpu.lan/v1/ ", "https://gpu.lan/v1"),
        ("http://[fd00::1]:11434/v1", "http://[fd00::1]:11434/v1"),
        ("https://gpu.lan/serve/llm", "https://gpu.lan/serve/llm"),
    ],
)
def test_the_address_of_a_server_is_what_a_person_meant(written: str, meant: str) -> None:
    assert base_url(written) == meant


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("http://192.168.1.20:8000", "server 192.168.1.20:8000"),
        ("https://gpu.lan/v1", "server gpu.lan"),
        ("http://[fd00::1]:11434", "server [fd00::1]:11434"),
        ("https://gpu.lan/serve/llm", "server gpu.lan/serve/llm"),
    ],
)
def test_a_server_is_shown_by_its_address(written: str, shown: str) -> None:
    assert Elsewhere().with_upstream(written, KEY).upstreams[0].shown == shown


def test_a_cluster_is_shown_by_its_address() -> None:
    for written in ("192.168.1.30:6379", "ray://192.168.1.30:6379"):
        cluster = Elsewhere().with_cluster(written, TOKEN).cluster
        assert cluster is not None
        assert cluster.shown == "ray 192.168.1.30:6379"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "gpu.lan:8000",
        "ftp://gpu.lan",
        "file:///etc/passwd",
        "http://",
        "http://u:p@gpu.lan",
        "http://gpu.lan/v1?a=b",
        "http://gpu.lan:99999",
    ],
)
def test_what_is_no_address_of_a_server_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        base_url(written)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("written", "meant", "endpoint"),
    [
        ("192.168.1.20", "192.168.1.20:6379", ("192.168.1.20", 6379)),
        ("head.lan:7000", "head.lan:7000", ("head.lan", 7000)),
        ("ray://head.lan", "ray://head.lan:10001", ("head.lan", 10001)),
        ("ray://[fd00::1]:1", "ray://[fd00::1]:1", ("fd00::1", 1)),
    ],
)
def test_the_address_of_a_cluster_is_what_a_person_meant(written: str, meant: str, endpoint: tuple[str, int]) -> None:
    assert cluster_address(written) == meant
    cluster = Elsewhere().with_cluster(written).cluster
    assert cluster is not None
    assert cluster.endpoint == endpoint


@pytest.mark.parametrize("written", ["", "auto", "local", "http://head.lan:6379", "head.lan:99999", "head lan"])
def test_no_cluster_is_started_or_found_without_an_address(written: str) -> None:
    with pytest.raises(UserFacingError):
        cluster_address(written)


def test_what_is_connected_outlives_the_engine_and_its_keys_are_the_owners_alone(tmp_path: Path) -> None:
    connected = Elsewhere().with_upstream("http://gpu.lan:8000", KEY, ("m",)).with_cluster("head.lan", TOKEN)
    file = tmp_path / "elsewhere.json"
    save(file, connected)
    assert load(file) == connected
    assert load(tmp_path / "none.json") == Elsewhere()
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_show_in_nothing_that_is_printed() -> None:
    connected = Elsewhere().with_upstream("http://gpu.lan:8000", KEY).with_cluster("head.lan", TOKEN)
    for text in (repr(connected), str(connected), str(connected.model_dump())):
        assert KEY not in text
        assert TOKEN not in text


def test_a_damaged_file_is_said_without_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.json"
    file.write_text('{"upstreams": [{"url": 7, "key": "' + KEY + '"}]}')
    with pytest.raises(UserFacingError) as caught:
        load(file)
    assert KEY not in str(caught.value)


def test_a_server_keeps_its_identity_when_it_is_connected_again_and_loses_it_when_it_is_not() -> None:
    once = Elsewhere().with_upstream("http://gpu.lan:8000", "old").with_upstream("http://other.lan")
    again = once.with_upstream("http://gpu.lan:8000/v1", "new")
    identities = {upstream.url: upstream.id for upstream in once.upstreams}
    assert {upstream.url: upstream.id for upstream in again.upstreams} == identities
    assert again.with_upstream("http://gpu.lan:8000").upstreams[-1].key.get_secret_value() == "new"
    left = again.without_upstream("http://gpu.lan:8000")
    assert [upstream.url for upstream in left.upstreams] == ["http://other.lan/v1"]
    with pytest.raises(UserFacingError):
        left.without_upstream("http://gpu.lan:8000")
    assert again.with_cluster("head.lan").without_cluster().cluster is None
