"""What asks for the owner's attention now, one sentence each, the most important first. Pure."""

from __future__ import annotations

from depin_desktop.api.models import FolderState, StorageStatus

_TROUBLED = {FolderState.MISSING, FolderState.READ_ONLY, FolderState.FOREIGN, FolderState.SLOW}


def advice(
    storage: StorageStatus, *, computing: bool, backed_up: bool, registered: bool, private: bool
) -> tuple[str, ...]:
    """Sentences for *Home*; `computing` says whether computing power is shared."""
    sentences = [
        f"{folder.path} is {folder.state.value}: {folder.detail}".rstrip(": ")
        for folder in storage.folders
        if folder.state in _TROUBLED
    ]
    if not registered:
        sentences.append("This provider is not registered yet, so nobody can buy from it.")
    if not storage.folders and not computing:
        sentences.append("Nothing is shared yet. Share a folder or computing power to begin to earn.")
    if not backed_up and not private:
        sentences.append("Your wallet is not backed up. Twelve words on paper are the only way back.")
    return tuple(sentences)
