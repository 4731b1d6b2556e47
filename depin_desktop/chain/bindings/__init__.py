"""One module per contract: its functions in snake case, its structs as frozen dataclasses.

Views are awaited and answer with plain ints, bytes, EIP-55 strings and structs. Functions that change state return a
`Call` and send nothing; `Sender` does.
"""
