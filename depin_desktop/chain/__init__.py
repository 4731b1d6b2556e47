"""The EVM chain as this node sees it: which network, typed contract bindings, sending, and the index of its logs."""
