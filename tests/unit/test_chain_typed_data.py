"""Hand-written EIP-712 equals eth-account's generic encoding and x402's, and only canonical signatures pass."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from x402.mechanisms.evm.batch_settlement.encoding import build_erc3009_collector_data, build_erc3009_deposit_nonce
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as TheirConfig
from x402.mechanisms.evm.batch_settlement.utils import compute_channel_id

from depin_desktop.chain import typed_data
from depin_desktop.chain.bindings.deals import Piece, Terms
from depin_desktop.chain.bindings.settlement import ChannelConfig, VoucherClaim, erc3009_collector_data
from depin_desktop.chain.deploy import ERC3009_COLLECTOR, MULTICALL3, SETTLEMENT
from depin_desktop.chain.network import Addresses, Network

NETWORK = Network(
    name="test", chain_id=31337, rpc_url="", ws_url="", hub_urls=(), period_s=1, window_s=1, min_stake=0,
    suggested_price_per_tib_month=0, suggested_price_per_gib_read=0,
    addresses=Addresses(
        token=to_checksum_address("0x" + "0a" * 20), registry=to_checksum_address("0x" + "0b" * 20),
        deals=to_checksum_address("0x" + "0c" * 20), settlement=SETTLEMENT,
        erc3009_collector=ERC3009_COLLECTOR, multicall3=MULTICALL3,
    ),
)  # fmt: skip
SIGNER = Account.from_key(b"\x07" * 32)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

address = st.binary(min_size=20, max_size=20).map(to_checksum_address)
word = st.binary(min_size=32, max_size=32)


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


terms = st.builds(Terms, address, address, uint(128), uint(64), word)
pieces = st.lists(st.builds(Piece, word, uint(64)), max_size=4)
configs = st.builds(ChannelConfig, address, address, address, address, address, uint(40), word)
claims = st.lists(st.builds(VoucherClaim, configs, uint(128), st.just(b""), uint(128)), max_size=3)

CONFIG_FIELDS = (
    "address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,address token,"
    "uint40 withdrawDelay,bytes32 salt"
)


def generic(
    domain: tuple[str, str], contract: str, types: dict[str, str], primary: str, message: dict[str, Any]
) -> bytes:
    """The digest as eth-account's generic encoder makes it."""
    encoded = encode_typed_data(
        domain_data={
            "name": domain[0],
            "version": domain[1],
            "chainId": NETWORK.chain_id,
            "verifyingContract": contract,
        },
        message_types={
            name: [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields.split(",")]
            for name, fields in {primary: types[primary], **types}.items()
        },
        message_data=message,
    )
    return keccak(b"\x19" + encoded.version + encoded.header + encoded.body)


def deals(types: dict[str, str], message: dict[str, Any]) -> bytes:
    return generic(typed_data.DEALS_DOMAIN, NETWORK.addresses.deals, types, next(iter(types)), message)


def settlement(types: dict[str, str], message: dict[str, Any]) -> bytes:
    return generic(typed_data.SETTLEMENT_DOMAIN, NETWORK.addresses.settlement, types, next(iter(types)), message)


def as_message(config: ChannelConfig) -> dict[str, Any]:
    return {
        "payer": config.payer,
        "payerAuthorizer": config.payer_authorizer,
        "receiver": config.receiver,
        "receiverAuthorizer": config.receiver_authorizer,
        "token": config.token,
        "withdrawDelay": config.withdraw_delay,
        "salt": config.salt,
    }


@given(terms)
def test_terms(given_terms: Terms) -> None:
    fields = "address customer,address provider,uint128 price,uint64 expires,bytes32 salt"
    assert typed_data.terms_digest(NETWORK, given_terms) == deals({"Terms": fields}, vars(given_terms))


@given(word, uint(64), pieces)
def test_added_pieces(set_id: bytes, first: int, given_pieces: list[Piece]) -> None:
    hashed = keccak(encode(["(bytes32,uint64)[]"], [[piece.abi() for piece in given_pieces]]))
    assert typed_data.add_pieces_digest(NETWORK, set_id, first, given_pieces) == deals(
        {"AddPieces": "bytes32 setId,uint64 firstPieceId,bytes32 piecesHash"},
        {"setId": set_id, "firstPieceId": first, "piecesHash": hashed},
    )


@given(word, st.lists(uint(64), max_size=5))
def test_removals(set_id: bytes, piece_ids: list[int]) -> None:
    assert typed_data.schedule_removals_digest(NETWORK, set_id, piece_ids) == deals(
        {"ScheduleRemovals": "bytes32 setId,bytes32 pieceIdsHash"},
        {"setId": set_id, "pieceIdsHash": keccak(encode(["uint64[]"], [piece_ids]))},
    )


@given(word)
def test_termination(set_id: bytes) -> None:
    expected = deals({"Terminate": "bytes32 setId"}, {"setId": set_id})
    assert typed_data.terminate_digest(NETWORK, set_id) == expected


@given(address, address, uint(256), uint(256), uint(256), word)
def test_an_authorisation_to_receive(payer: str, to: str, value: int, after: int, before: int, nonce: bytes) -> None:
    fields = "address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce"
    assert typed_data.receive_digest(NETWORK, payer, to, value, after, before, nonce) == generic(
        typed_data.TOKEN_DOMAIN,
        NETWORK.addresses.token,
        {"ReceiveWithAuthorization": fields},
        "ReceiveWithAuthorization",
        {"from": payer, "to": to, "value": value, "validAfter": after, "validBefore": before, "nonce": nonce},
    )


@given(address, address, uint(256), uint(256), uint(256))
def test_a_permit(owner: str, spender: str, value: int, nonce: int, deadline: int) -> None:
    fields = "address owner,address spender,uint256 value,uint256 nonce,uint256 deadline"
    assert typed_data.permit_digest(NETWORK, owner, spender, value, nonce, deadline) == generic(
        typed_data.TOKEN_DOMAIN,
        NETWORK.addresses.token,
        {"Permit": fields},
        "Permit",
        {"owner": owner, "spender": spender, "value": value, "nonce": nonce, "deadline": deadline},
    )


@given(configs)
def test_a_channel_s_id_is_x402_s(config: ChannelConfig) -> None:
    ours = typed_data.channel_id(NETWORK, config)
    assert ours == settlement({"ChannelConfig": CONFIG_FIELDS}, as_message(config))
    theirs = TheirConfig.from_dict({**as_message(config), "salt": "0x" + config.salt.hex()})
    assert compute_channel_id(theirs, f"eip155:{NETWORK.chain_id}") == "0x" + ours.hex()


@given(word, uint(128))
def test_a_voucher(channel: bytes, amount: int) -> None:
    expected = settlement(
        {"Voucher": "bytes32 channelId,uint128 maxClaimableAmount"},
        {"channelId": channel, "maxClaimableAmount": amount},
    )
    assert typed_data.voucher_digest(NETWORK, channel, amount) == expected


@settings(max_examples=25)
@given(claims)
def test_a_batch_of_claims(given_claims: list[VoucherClaim]) -> None:
    types = {
        "ClaimBatch": "ClaimEntry[] claims",
        "ClaimEntry": "bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed",
    }
    entries = [
        {
            "channelId": typed_data.channel_id(NETWORK, claim.config),
            "maxClaimableAmount": claim.max_claimable_amount,
            "totalClaimed": claim.total_claimed,
        }
        for claim in given_claims
    ]
    assert typed_data.claim_batch_digest(NETWORK, given_claims) == settlement(types, {"claims": entries})


@given(word, uint(256), uint(128))
def test_a_refund(channel: bytes, nonce: int, amount: int) -> None:
    assert typed_data.refund_digest(NETWORK, channel, nonce, amount) == settlement(
        {"Refund": "bytes32 channelId,uint256 nonce,uint128 amount"},
        {"channelId": channel, "nonce": nonce, "amount": amount},
    )


@given(word, word, address, address, uint(64), st.binary(max_size=65))
def test_ids_and_nonces_are_plain_abi(first: bytes, salt: bytes, a: str, b: str, time: int, signature: bytes) -> None:
    whole = keccak(encode(["address", "address", "bytes32"], [a, b, salt]))
    assert typed_data.data_set_id(a, b, salt) == whole[:16] + bytes(16)
    nonce = build_erc3009_deposit_nonce("0x" + first.hex(), "0x" + salt.hex())
    assert "0x" + typed_data.authorization_nonce(first, salt).hex() == nonce
    theirs = build_erc3009_collector_data(str(time), str(time + 1), "0x" + salt.hex(), "0x" + signature.hex())
    assert erc3009_collector_data(time, time + 1, salt, signature) == theirs


@given(word)
def test_a_signature_is_eth_account_s_and_names_its_signer(digest: bytes) -> None:
    signature = typed_data.sign_digest(SIGNER, digest)
    assert signature == bytes(SIGNER.unsafe_sign_hash(digest).signature)
    assert typed_data.recover_digest(digest, signature) == SIGNER.address
    other = typed_data.recover_digest(keccak(digest), signature)
    assert other != SIGNER.address


def test_each_helper_signs_what_it_recovers() -> None:
    some = Terms(SIGNER.address, NETWORK.addresses.deals, 1, 2, bytes(32))
    signature = typed_data.sign_terms(SIGNER, NETWORK, some)
    assert typed_data.recover_terms(NETWORK, some, signature) == SIGNER.address
    signature = typed_data.sign_voucher(SIGNER, NETWORK, bytes(32), 5)
    assert typed_data.recover_voucher(NETWORK, bytes(32), 5, signature) == SIGNER.address
    assert typed_data.recover_voucher(NETWORK, bytes(32), 6, signature) != SIGNER.address


@given(word)
def test_signatures_that_the_chain_refuses_are_refused_here(digest: bytes) -> None:
    good = typed_data.sign_digest(SIGNER, digest)
    s = int.from_bytes(good[32:64], "big")
    high_s = good[:32] + (ORDER - s).to_bytes(32, "big") + bytes([55 - good[64]])
    for bad in (
        good[:64] + bytes([good[64] - 27]),  # v of 0 or 1
        good[:64] + b"\x1d",
        good[:64],
        good + b"\x00",
        b"",
        high_s,
        bytes(64) + b"\x1b",
        b"\xff" * 32 + good[32:],
        ORDER.to_bytes(32, "big") + good[32:],
    ):
        with pytest.raises(typed_data.BadSignature):
            typed_data.recover_digest(digest, bad)


@given(st.binary(max_size=80))
def test_garbage_is_no_signature_or_a_stranger_s(garbage: bytes) -> None:
    with contextlib.suppress(typed_data.BadSignature):
        assert typed_data.recover_digest(bytes(32), garbage) != SIGNER.address


@pytest.mark.parametrize("bad", [-1, 2**128])
def test_amounts_that_do_not_fit_are_not_signed(bad: int) -> None:
    with pytest.raises(ValueError, match="uint128"):
        typed_data.voucher_digest(NETWORK, bytes(32), bad)
    with pytest.raises(ValueError, match="32 are due"):
        typed_data.voucher_digest(NETWORK, bytes(31), 1)
    with pytest.raises(ValueError, match="no address"):
        typed_data.data_set_id("0x12", SIGNER.address, bytes(32))
