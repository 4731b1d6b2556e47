"""The EVM chain as this node sees it: which network, typed contract bindings, sending, and the index of its logs.

Nothing here decides anything: policies live with the services. Success is only ever reported from a receipt, and what
the chain says is kept together with the block that said it. Importing the package is free; its modules that need the
Ethereum libraries (half a second, some 30 MB) are imported by those who connect.
"""
