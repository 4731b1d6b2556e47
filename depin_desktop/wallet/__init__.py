"""The owner's keys (vault), the hot keys of this machine, and the ledger of what was earned."""
