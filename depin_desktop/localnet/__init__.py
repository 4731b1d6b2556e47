"""The embedded network: a private chain, a hub, a faucet and some neighbours who buy.

`control.up/down/status` are for the command line, `localnet.Localnet` runs a network inside one process (tests do). Its
tokens have no value: nothing in this room may be reachable from outside this machine.
"""
