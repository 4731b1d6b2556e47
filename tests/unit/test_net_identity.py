"""A node keeps its identity, and keeps it to itself."""

from __future__ import annotations

import stat
import sys

import pytest

from depin_desktop.core.errors import UserFacingError
from depin_desktop.net.identity import Identity


def test_the_same_file_gives_the_same_node(tmp_path):
    first = Identity.load_or_create(tmp_path / "keys" / "node.key")
    assert Identity.load_or_create(tmp_path / "keys" / "node.key") == first
    assert Identity.load_or_create(tmp_path / "other.key") != first
    assert len(bytes.fromhex(first.node_id)) == 32


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no mode bits")
def test_nobody_else_may_read_the_secret(tmp_path):
    path = tmp_path / "node.key"
    Identity.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.key"]


def test_the_secret_is_not_in_what_is_printed():
    identity = Identity.generate()
    assert identity.secret.hex() not in repr(identity)
    assert repr(identity.secret) not in repr(identity)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_named_and_never_replaced(tmp_path, content):
    path = tmp_path / "node.key"
    path.write_bytes(content)
    with pytest.raises(UserFacingError) as caught:
        Identity.load_or_create(path)
    assert caught.value.code == "node-key-damaged"
    assert path.read_bytes() == content


def test_a_folder_in_the_way_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserFacingError) as caught:
        Identity.load_or_create(tmp_path / "file" / "node.key")
    assert caught.value.code == "node-key-unusable"
