"""The embedded network: a private chain, a hub, a faucet and some neighbours who buy."""
