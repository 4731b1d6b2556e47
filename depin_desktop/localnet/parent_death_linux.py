"""Linux only: a child asks the kernel to be signalled when its parent dies, whatever killed the parent."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # prctl(2)
# Loaded before any fork: between fork and exec only this one call is made.
_libc = ctypes.CDLL(None, use_errno=True)


def terminate_when_parent_dies(parent: int) -> None:
    """Runs in the child between fork and exec; the setting survives the exec.

    The signal is SIGTERM, on which anvil still saves its state. It comes when the *thread* that forked ends, so fork
    from a thread that lives as long as the child should.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the call: nobody will signal us any more
        os._exit(1)
