"""What runs work: each backend takes one job at a time from a customer and can be killed without harm.

A backend may be a worker process of this machine or another server on the owner's network; the service sees `Backend`
and nothing else.
"""
