"""What this machine has and how it feels: disks, graphics cards, sensors, memory, network.

Nothing here waits for ever: each probe runs in a thread of its own and is given up on when its time is over. What is
particular to one operating system is in the module named for it; this room only looks and changes nothing.
"""
