"""Direct connections: TLS over TCP between two nodes that have met over QUIC and can reach each other that way.

QUIC is how nodes find each other, through routers and without an open port. But with its binding's conversions a GB
costs either side 1.7 s of CPU, where TLS costs 0.5. So a customer that has reached a provider asks it, over QUIC, for
its TCP port and a ticket; if a connection can be made, bulk transfers take it, and else everything stays with QUIC.
"""
