"""The fast copy moves the same bytes as the binding's own loop, and gives way when the binding is another."""

from __future__ import annotations

import logging
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depin_desktop.net import iroh_patch

BINDING = import_module("iroh.iroh_ffi")
# The binding's own functions, as they were before anything patched them.
SLOW_WRITE = next(
    value for value in (iroh_patch.original_write, BINDING._UniffiRustBufferBuilder.write) if value is not None
)


def slow_read(self, size):
    """The generated `read`, word for word in behaviour: a slice of the ctypes pointer."""
    data = self.data[self.offset : self.offset + size]
    self.offset += size
    return data


FAST_READ = iroh_patch.make_fast_read(BINDING.InternalError)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=5000))
def test_both_paths_agree_on_every_byte(value):
    for write in (SLOW_WRITE, iroh_patch.fast_write):
        for read in (slow_read, FAST_READ):
            assert iroh_patch.round_trip(BINDING, value, write, read) == value


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_may_be_written(kind):
    value = bytes(range(256)) * 300
    assert iroh_patch.round_trip(BINDING, kind(value), iroh_patch.fast_write, FAST_READ) == value


def test_reading_beyond_the_end_is_the_bindings_own_error():
    with pytest.raises(BINDING.InternalError):
        iroh_patch.round_trip(
            BINDING, b"abc", iroh_patch.fast_write, lambda stream, size: FAST_READ(stream, size + 100)
        )


def test_it_is_in_place_and_applying_it_again_changes_nothing():
    assert iroh_patch.apply()
    assert iroh_patch.apply()
    assert BINDING._UniffiRustBufferBuilder.write is iroh_patch.fast_write


def test_an_unknown_version_is_left_alone_and_logged(monkeypatch, caplog):
    monkeypatch.setattr(iroh_patch, "KNOWN_VERSIONS", ("9.9.",))
    with caplog.at_level(logging.WARNING):
        assert not iroh_patch.apply()
    assert "slow" in caplog.text


def test_a_binding_with_other_internals_is_left_alone_and_logged(monkeypatch, caplog):
    monkeypatch.delattr(BINDING, "_UniffiRustBufferStream")
    with caplog.at_level(logging.WARNING):
        assert not iroh_patch.apply()
    assert "slow" in caplog.text


def test_a_copy_that_alters_bytes_is_not_installed(monkeypatch, caplog):
    monkeypatch.setattr(BINDING._UniffiRustBufferBuilder, "write", SLOW_WRITE)
    monkeypatch.setattr(iroh_patch, "make_fast_read", lambda error: lambda stream, size: slow_read(stream, size)[::-1])
    with caplog.at_level(logging.WARNING):
        assert not iroh_patch.apply()
    assert BINDING._UniffiRustBufferBuilder.write is SLOW_WRITE
    assert "slow" in caplog.text
