"""The owner's keys (vault), the hot keys of this machine, and the ledger of what was earned.

Whoever needs a signature of the owner unlocks the vault for that moment; nothing here keeps the password or the words.
The ledger only ever repeats what the chain's log and the vouchers on disk say.
"""
