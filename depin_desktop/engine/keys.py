"""Who this node is: read from the home's files once, at start."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.chain.accounts import LocalAccount
from depin_desktop.core.home import Home
from depin_desktop.net.identity import Identity
from depin_desktop.wallet import hotkeys
from depin_desktop.wallet.vault import Vault


@dataclass(frozen=True)
class Keys:
    """The owner's public address, the hot keys of operator and spender, and the iroh identity."""

    owner: str
    backed_up: bool
    operator: LocalAccount
    budget: LocalAccount
    node: Identity

    @property
    def spender(self) -> str:
        """The address that holds the spending budget."""
        return self.budget.address

    @staticmethod
    def load(home: Home) -> Keys:
        """Reads the files. Blocking.

        Raises:
            UserFacingError: one of them is missing or damaged.
        """
        vault = Vault.load(home.vault)
        return Keys(
            owner=vault.owner,
            backed_up=vault.backed_up,
            operator=hotkeys.operator(home),
            budget=hotkeys.spender(home),
            node=Identity.load_or_create(home.keys / "node.key"),
        )
