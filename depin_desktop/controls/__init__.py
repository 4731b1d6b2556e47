"""The owner's controls: how much of this machine every service may use now, and the one reason why not.

Wishes (what the owner set) and facts (what is measured) go into one pure function, and an allowance comes out. This
room knows no service and stops nothing itself: services follow the allowance that the engine hands them.
"""
