"""The local gateway: OpenAI's API on a loopback port, answered by the network's providers and paid by this home.

It knows how HTTP clients ask and how they are told of failures; who is asked and paid is `customer.compute`'s affair.
"""
