"""What this machine has and how it feels: disks, graphics cards, sensors, memory, network."""
