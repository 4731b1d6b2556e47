"""One plain sentence, and what to do, for every error that our contracts can raise.

Braces take the error's arguments by their names in snake case. A test holds this list against the artifacts.
"""

from __future__ import annotations

_TRY_LATER = "Try again a little later."
_OURS = "Please report this: the program should not have sent it."

SENTENCES: dict[str, tuple[str, str]] = {
    # ProviderRegistry
    "NotRegistered": ("{owner} is not registered as a provider.", "Register first."),
    "AlreadyRegistered": ("{owner} is already registered as a provider.", ""),
    "OperatorTaken": ("The operator key {operator} already works for another provider.", "Use a new operator key."),
    "NodeTaken": ("The node {node_id} already belongs to another provider.", "Use a new node key."),
    "ZeroValue": ("An amount or address is zero.", "Give a value."),
    "StakeTooSmall": ("A stake of {stake} is below the minimum of {minimum}.", "Stake more, or take everything out."),
    "NothingThawing": ("No stake is being released.", "Ask for the release first."),
    "StillThawing": ("The stake is released at {thaw_ends}.", "Wait until then."),
    "NotSlasher": ("{caller} may not slash stakes.", ""),
    # StorageDeals
    "UnknownSet": ("There is no data set {set_id}.", "Open it first."),
    "SetExists": ("The data set {set_id} exists already.", "Go on with it, or open one with another salt."),
    "SetEnded": ("The data set {set_id} has ended.", "Open a new one."),
    "Expired": ("These terms expired at {expires}.", "Agree on new terms."),
    "ProviderNotActive": ("The provider {provider} is not registered or has too little stake.", "Choose another."),
    "NotOperator": ("{caller} is not this provider's operator.", "Check the operator key that the registry names."),
    "NotParty": ("{caller} is no party of this data set.", ""),
    "BadSignature": ("The signature does not fit.", "Sign again with the right key."),
    "WrongFirstPiece": (
        "The next piece is number {expected}, not {given}.",
        "Read the data set's state and sign again.",
    ),
    "BadPiece": ("Piece {index} of the list is not valid.", _OURS),
    "TooMany": ("{given} items at once are too many; at most {limit} are allowed.", "Send fewer at once."),
    "PieceGone": ("Piece {piece_id} is no longer part of the data set.", ""),
    "WindowClosed": ("The challenge window opens at {opens_at}.", "Wait until then."),
    "AlreadySeeded": ("Period {period} already has its seed.", ""),
    "NotSeeded": ("Period {period} has no seed yet.", "Poke first."),
    "NothingToProve": ("The data set {set_id} has nothing to prove now.", ""),
    "AlreadyProven": ("The data set {set_id} is already proven for period {period}.", ""),
    "BadProof": ("The proof of challenge {challenge} does not verify.", "Check the disk: stored bytes may be damaged."),
    "NotFaulted": ("The data set {set_id} did not fail in period {period}.", ""),
    "StillOpen": ("The data set {set_id} has not ended yet.", "Wait until it has ended."),
    "NothingOwed": ("Nothing is owed.", ""),
}
