"""EIP-712: every message that our contracts accept, hashed by hand with cached domain separators, signed and recovered.

Written out because generic encoding costs several times the signature itself, and a provider checks one voucher per
request. The tests hold it against eth-account's `encode_typed_data` and against the contracts' own digests.
Source: EIP-712; EIP-3009; x402 batch-settlement; IStorageDeals.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Protocol

from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address

from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim
from depin_desktop.chain.network import Network

TOKEN_DOMAIN = ("DePIN Token", "1")
DEALS_DOMAIN = ("DePIN StorageDeals", "1")
SETTLEMENT_DOMAIN = ("x402 Batch Settlement", "1")

_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


def _type(text: str) -> bytes:
    return keccak(text.encode())


_DOMAIN = _type("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_TERMS = _type("Terms(address customer,address provider,uint128 price,uint64 expires,bytes32 salt)")
_ADD_PIECES = _type("AddPieces(bytes32 setId,uint64 firstPieceId,bytes32 piecesHash)")
_SCHEDULE_REMOVALS = _type("ScheduleRemovals(bytes32 setId,bytes32 pieceIdsHash)")
_TERMINATE = _type("Terminate(bytes32 setId)")
_RECEIVE = _type(
    "ReceiveWithAuthorization(address from,address to,uint256 value,"
    "uint256 validAfter,uint256 validBefore,bytes32 nonce)"
)
_PERMIT = _type("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)")
_CHANNEL_CONFIG = _type(
    "ChannelConfig(address payer,address payerAuthorizer,address receiver,"
    "address receiverAuthorizer,address token,uint40 withdrawDelay,bytes32 salt)"
)
_VOUCHER = _type("Voucher(bytes32 channelId,uint128 maxClaimableAmount)")
_CLAIM_ENTRY_TEXT = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
_CLAIM_ENTRY = _type(_CLAIM_ENTRY_TEXT)
_CLAIM_BATCH = _type(f"ClaimBatch(ClaimEntry[] claims){_CLAIM_ENTRY_TEXT}")
_REFUND = _type("Refund(bytes32 channelId,uint256 nonce,uint128 amount)")


class Signer(Protocol):
    """What signs: eth-account's LocalAccount."""

    @property
    def address(self) -> str: ...

    @property
    def key(self) -> bytes: ...


class BadSignature(ValueError):
    """The bytes are no canonical signature: not 65 bytes, v not 27 or 28, s in the upper half, or no key fits.

    OpenZeppelin refuses these on the chain, so accepting one off the chain would give service away.
    """


# --- signing and recovering digests -------------------------------------------------------------------------------


def sign_digest(account: Signer, digest: bytes) -> bytes:
    """65 bytes r‖s‖v with v in {27, 28} and s in the lower half (RFC 6979, deterministic)."""
    signature = PrivateKey(bytes(account.key)).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])


def recover_digest(digest: bytes, signature: bytes) -> str:
    """The EIP-55 address whose key signed `digest`.

    Raises:
        BadSignature: see there. A wrong signer is no error: the address simply differs.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise BadSignature("a signature has 65 bytes and v is 27 or 28")
    if int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        raise BadSignature("s lies in the upper half")
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception for r or s out of range
        raise BadSignature("no key fits this signature") from error
    return to_checksum_address(keccak(key.format(compressed=False)[1:])[12:])


# --- storage deals ------------------------------------------------------------------------------------------------


def data_set_id(customer: str, provider: str, salt: bytes) -> bytes:
    """The id under which signed terms open a data set: half a hash, then zeros, as calldata is what proofs cost."""
    return keccak(_address(customer) + _address(provider) + _word(salt))[:16].ljust(32, b"\0")


def terms_digest(network: Network, terms: Terms) -> bytes:
    return _deals(
        network,
        _TERMS
        + _address(terms.customer)
        + _address(terms.provider)
        + _uint(terms.price, 128)
        + _uint(terms.expires, 64)
        + _word(terms.salt),
    )


def sign_terms(account: Signer, network: Network, terms: Terms) -> bytes:
    return sign_digest(account, terms_digest(network, terms))


def recover_terms(network: Network, terms: Terms, signature: bytes) -> str:
    return recover_digest(terms_digest(network, terms), signature)


def add_pieces_digest(network: Network, set_id: bytes, first_piece_id: int, pieces: Sequence[Piece]) -> bytes:
    encoded = b"".join(_word(piece.root) + _uint(piece.leaf_count, 64) for piece in pieces)
    hashed = keccak(_uint(32) + _uint(len(pieces)) + encoded)
    return _deals(network, _ADD_PIECES + _word(set_id) + _uint(first_piece_id, 64) + hashed)


def sign_add_pieces(
    account: Signer, network: Network, set_id: bytes, first_piece_id: int, pieces: Sequence[Piece]
) -> bytes:
    return sign_digest(account, add_pieces_digest(network, set_id, first_piece_id, pieces))


def recover_add_pieces(
    network: Network, set_id: bytes, first_piece_id: int, pieces: Sequence[Piece], signature: bytes
) -> str:
    return recover_digest(add_pieces_digest(network, set_id, first_piece_id, pieces), signature)


def schedule_removals_digest(network: Network, set_id: bytes, piece_ids: Sequence[int]) -> bytes:
    hashed = keccak(_uint(32) + _uint(len(piece_ids)) + b"".join(_uint(piece_id, 64) for piece_id in piece_ids))
    return _deals(network, _SCHEDULE_REMOVALS + _word(set_id) + hashed)


def sign_schedule_removals(account: Signer, network: Network, set_id: bytes, piece_ids: Sequence[int]) -> bytes:
    return sign_digest(account, schedule_removals_digest(network, set_id, piece_ids))


def recover_schedule_removals(network: Network, set_id: bytes, piece_ids: Sequence[int], signature: bytes) -> str:
    return recover_digest(schedule_removals_digest(network, set_id, piece_ids), signature)


def terminate_digest(network: Network, set_id: bytes) -> bytes:
    return _deals(network, _TERMINATE + _word(set_id))


def sign_terminate(account: Signer, network: Network, set_id: bytes) -> bytes:
    return sign_digest(account, terminate_digest(network, set_id))


def recover_terminate(network: Network, set_id: bytes, signature: bytes) -> str:
    return recover_digest(terminate_digest(network, set_id), signature)


# --- ERC-3009 -----------------------------------------------------------------------------------------------------


def authorization_nonce(purpose_id: bytes, salt: bytes) -> bytes:
    """keccak256(abi.encode(purpose_id, salt)): a set's id for funding, a channel's id for a deposit."""
    return keccak(_word(purpose_id) + _word(salt))


def receive_digest(
    network: Network, payer: str, to: str, value: int, valid_after: int, valid_before: int, nonce: bytes
) -> bytes:
    """ReceiveWithAuthorization of our token; `to` must be the caller, so nobody can snatch it."""
    return _digest(
        domain_separator(*TOKEN_DOMAIN, network.chain_id, network.addresses.token),
        _RECEIVE
        + _address(payer)
        + _address(to)
        + _uint(value)
        + _uint(valid_after)
        + _uint(valid_before)
        + _word(nonce),
    )


def sign_receive(
    account: Signer, network: Network, to: str, value: int, valid_after: int, valid_before: int, nonce: bytes
) -> bytes:
    return sign_digest(account, receive_digest(network, account.address, to, value, valid_after, valid_before, nonce))


def recover_receive(
    network: Network,
    payer: str,
    to: str,
    value: int,
    valid_after: int,
    valid_before: int,
    nonce: bytes,
    signature: bytes,
) -> str:
    return recover_digest(receive_digest(network, payer, to, value, valid_after, valid_before, nonce), signature)


def sign_funding(
    account: Signer, network: Network, set_id: bytes, amount: int, valid_after: int, valid_before: int, salt: bytes
) -> bytes:
    """The authorisation that `StorageDeals.fund` takes."""
    nonce = authorization_nonce(set_id, salt)
    return sign_receive(account, network, network.addresses.deals, amount, valid_after, valid_before, nonce)


def sign_deposit(
    account: Signer, network: Network, channel: bytes, amount: int, valid_after: int, valid_before: int, salt: bytes
) -> bytes:
    """The authorisation inside `erc3009_collector_data` for `BatchSettlement.deposit`."""
    nonce = authorization_nonce(channel, salt)
    return sign_receive(account, network, network.addresses.erc3009_collector, amount, valid_after, valid_before, nonce)


# --- EIP-2612 ------------------------------------------------------------------------------------------------------


def permit_digest(network: Network, owner: str, spender: str, value: int, nonce: int, deadline: int) -> bytes:
    """Permit of our token: an allowance by signature, until `deadline` (Unix seconds)."""
    return _digest(
        domain_separator(*TOKEN_DOMAIN, network.chain_id, network.addresses.token),
        _PERMIT + _address(owner) + _address(spender) + _uint(value) + _uint(nonce) + _uint(deadline),
    )


def sign_permit(account: Signer, network: Network, spender: str, value: int, nonce: int, deadline: int) -> bytes:
    return sign_digest(account, permit_digest(network, account.address, spender, value, nonce, deadline))


# --- x402 batch settlement ----------------------------------------------------------------------------------------


def channel_id(network: Network, config: ChannelConfig) -> bytes:
    """The whole EIP-712 digest of the configuration, not just its struct hash."""
    return _settlement(
        network,
        _CHANNEL_CONFIG
        + _address(config.payer)
        + _address(config.payer_authorizer)
        + _address(config.receiver)
        + _address(config.receiver_authorizer)
        + _address(config.token)
        + _uint(config.withdraw_delay, 40)
        + _word(config.salt),
    )


def voucher_digest(network: Network, channel: bytes, max_claimable_amount: int) -> bytes:
    return _settlement(network, _VOUCHER + _word(channel) + _uint(max_claimable_amount, 128))


def sign_voucher(account: Signer, network: Network, channel: bytes, max_claimable_amount: int) -> bytes:
    return sign_digest(account, voucher_digest(network, channel, max_claimable_amount))


def recover_voucher(network: Network, channel: bytes, max_claimable_amount: int, signature: bytes) -> str:
    return recover_digest(voucher_digest(network, channel, max_claimable_amount), signature)


def claim_batch_digest(network: Network, claims: Sequence[VoucherClaim]) -> bytes:
    entries = b"".join(
        keccak(
            _CLAIM_ENTRY
            + channel_id(network, claim.config)
            + _uint(claim.max_claimable_amount, 128)
            + _uint(claim.total_claimed, 128)
        )
        for claim in claims
    )
    return _settlement(network, _CLAIM_BATCH + keccak(entries))


def sign_claim_batch(account: Signer, network: Network, claims: Sequence[VoucherClaim]) -> bytes:
    return sign_digest(account, claim_batch_digest(network, claims))


def recover_claim_batch(network: Network, claims: Sequence[VoucherClaim], signature: bytes) -> str:
    return recover_digest(claim_batch_digest(network, claims), signature)


def refund_digest(network: Network, channel: bytes, nonce: int, amount: int) -> bytes:
    return _settlement(network, _REFUND + _word(channel) + _uint(nonce) + _uint(amount, 128))


def sign_refund(account: Signer, network: Network, channel: bytes, nonce: int, amount: int) -> bytes:
    return sign_digest(account, refund_digest(network, channel, nonce, amount))


def recover_refund(network: Network, channel: bytes, nonce: int, amount: int, signature: bytes) -> str:
    return recover_digest(refund_digest(network, channel, nonce, amount), signature)


# --- encoding -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def domain_separator(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """EIP-712's domain separator of one contract on one chain."""
    return keccak(_DOMAIN + keccak(name.encode()) + keccak(version.encode()) + _uint(chain_id) + _address(contract))


def _digest(separator: bytes, struct: bytes) -> bytes:
    return keccak(b"\x19\x01" + separator + keccak(struct))


def _deals(network: Network, struct: bytes) -> bytes:
    return _digest(domain_separator(*DEALS_DOMAIN, network.chain_id, network.addresses.deals), struct)


def _settlement(network: Network, struct: bytes) -> bytes:
    return _digest(domain_separator(*SETTLEMENT_DOMAIN, network.chain_id, network.addresses.settlement), struct)


def _uint(value: int, bits: int = 256) -> bytes:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is no uint{bits}")
    return value.to_bytes(32, "big")


def _word(value: bytes) -> bytes:
    if len(value) != 32:
        raise ValueError(f"{len(value)} bytes where 32 are due")
    return value


def _address(value: str) -> bytes:
    if len(value) != 42 or not value.startswith("0x"):
        raise ValueError(f"{value!r} is no address")
    return bytes(12) + bytes.fromhex(value[2:])
