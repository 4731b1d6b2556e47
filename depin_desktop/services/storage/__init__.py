"""Sells disk space: takes sealed pieces in, keeps them, serves them, proves them on chain and is paid for it.

Everything it needs of other rooms is passed in; it knows no engine, no window and no other service.
"""
