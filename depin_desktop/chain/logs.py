"""Raw logs from JSON-RPC, decoded by the interfaces of our contracts."""

from __future__ import annotations

from typing import Any

from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address

from depin_desktop.chain.bindings.contract import Contract
from depin_desktop.chain.calls import LogEvent, Receipt


class LogDecoder:
    """Knows the logs of the given contracts; everything else is passed over."""

    def __init__(self, contracts: tuple[Contract, ...]) -> None:
        self._by_address = {contract.address.lower(): contract for contract in contracts}

    def decode(
        self,
        *,
        address: str,
        topics: list[bytes],
        data: bytes,
        block: int,
        block_hash: bytes,
        block_time: int,
        tx: bytes,
        log_index: int,
        removed: bool = False,
    ) -> LogEvent | None:
        """The event, or None when the address, the topic or the bytes are not those of our contracts."""
        contract = self._by_address.get(address.lower())
        event = contract.interface.events.get(topics[0]) if contract is not None and topics else None
        if contract is None or event is None:
            return None
        try:
            arguments = event.decode(topics, data)
        except (DecodingError, ValueError):
            return None  # same topic, other layout: not the contract that our artifacts describe
        return LogEvent(event.name, contract.label, arguments, block, block_hash, block_time, tx, log_index, removed)

    def decode_raw(self, log: dict[str, Any], block_time: int = 0) -> LogEvent | None:
        """A log as `eth_getLogs` and receipts carry it."""
        return self.decode(
            address=log["address"],
            topics=[unhex(topic) for topic in log["topics"]],
            data=unhex(log["data"]),
            block=int(log["blockNumber"], 16),
            block_hash=unhex(log["blockHash"]),
            block_time=block_time,
            tx=unhex(log["transactionHash"]),
            log_index=int(log["logIndex"], 16),
        )

    def receipt(self, raw: dict[str, Any]) -> Receipt:
        """A receipt as `eth_getTransactionReceipt` answers it; whether it succeeded is the caller's business."""
        gas_used = int(raw["gasUsed"], 16)
        created = raw.get("contractAddress")
        # Roll-ups bill the data separately and report it here.
        data_fee = int(raw.get("l1Fee") or "0x0", 16)
        return Receipt(
            tx=unhex(raw["transactionHash"]),
            block=int(raw["blockNumber"], 16),
            block_hash=unhex(raw["blockHash"]),
            gas_used=gas_used,
            fee=gas_used * int(raw.get("effectiveGasPrice") or "0x0", 16) + data_fee,
            events=tuple(event for log in raw["logs"] if (event := self.decode_raw(log)) is not None),
            created=None if created is None else to_checksum_address(created),
        )


def unhex(text: str) -> bytes:
    """Bytes of a 0x-prefixed hex string."""
    return bytes.fromhex(text[2:])
