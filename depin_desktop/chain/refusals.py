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
    "BadSchedule": ("The periods and windows do not fit together.", "Give a window no longer than the period."),
    # ProviderRegistry's administration
    "NotAdmin": ("{caller} does not administer the registry.", ""),
    "ThawPeriodTooLong": ("A thaw of {given} s is longer than the {maximum} s allowed.", "Choose a shorter one."),
    "TooManyThaws": ("Only {maximum} releases of stake may wait at a time.", "Take out what has thawed first."),
    # BatchSettlement and its collector
    "BadWithdrawDelay": ("A delay of {given} s is not between {minimum} and {maximum} s.", "Choose another."),
    "NotReceiver": ("{caller} may not claim for this receiver.", ""),
    "NotPayer": ("{caller} is not the payer of this channel.", ""),
    "MixedAuthorizers": ("The vouchers belong to different receivers.", "Claim them separately."),
    "ExceedsVoucher": ("The claim of {total} is above the signed {signed}.", _OURS),
    "ExceedsBalance": ("{asked} were asked of a channel that holds {available}.", "Wait for a deposit."),
    "NothingToSettle": ("Nothing is waiting to be paid out.", ""),
    "NothingToRefund": ("The channel {channel_id} has nothing left to refund.", ""),
    "NoWithdrawal": ("No withdrawal was announced for the channel {channel_id}.", "Announce it first."),
    "WithdrawalNotReady": ("The withdrawal is possible from {ready_at}.", "Wait until then."),
    "WrongRefundNonce": ("The refund's number is {expected}, not {given}.", "Sign it again."),
    "OnlySettlement": ("{caller} may not collect deposits.", ""),
    # Token
    "CapExceeded": ("{amount} are more than the {cap} that may ever exist.", ""),
    "ERC20InsufficientBalance": ("{sender} has {balance}, but {needed} are needed.", "Send tokens to it first."),
    "ERC20InsufficientAllowance": ("{spender} may take {allowance}, but {needed} are needed.", "Allow more first."),
    "ERC20InvalidReceiver": ("{receiver} cannot receive tokens.", "Check the address."),
    "ERC20InvalidSender": ("{sender} cannot send tokens.", "Check the address."),
    "ERC20InvalidApprover": ("{approver} cannot allow transfers.", "Check the address."),
    "ERC20InvalidSpender": ("{spender} cannot be allowed transfers.", "Check the address."),
    "ERC2612ExpiredSignature": ("The permit expired at {deadline}.", "Sign a new one."),
    "ERC2612InvalidSigner": ("The permit is signed by {signer}, not by {owner}.", "Sign with the owner's key."),
    "ERC3009InvalidAuthorizationTime": ("The authorisation holds from {valid_after} to {valid_before}.", "Sign anew."),
    "ERC3009InvalidSignature": ("The authorisation's signature does not fit.", "Sign again with the right key."),
    "ERC3009UsedAuthorization": ("This authorisation of {authorizer} was used or cancelled before.", "Sign a new one."),
    "InvalidAccountNonce": ("The signature is for number {current_nonce} of {account}.", "Sign again."),
    "InexactTransfer": ("Of {expected} tokens {received} arrived.", "Use a token without a fee on transfers."),
    "SafeERC20FailedOperation": ("The token {token} refused the transfer.", "Check balance and allowance."),
    # Libraries
    "ECDSAInvalidSignature": ("The signature is not valid.", "Sign again."),
    "ECDSAInvalidSignatureLength": ("A signature of {length} bytes is not valid.", "Sign again."),
    "ECDSAInvalidSignatureS": ("The signature is not in its canonical form.", "Sign again."),
    "AddressEmptyCode": ("There is no contract at {target}.", "Check the address."),
    "FailedCall": ("A contract that was called failed without a reason.", _TRY_LATER),
    "ReentrancyGuardReentrantCall": ("The contract was called from within itself.", _OURS),
    "SafeCastOverflowedUintDowncast": ("{value} does not fit into {bits} bits.", "Use a smaller amount."),
    "InvalidShortString": ("A stored name is damaged.", ""),
    "StringTooLong": ("A name is too long.", ""),
}
