"""The desktop. The only room with Qt; of the engine it knows `depin_desktop.api` and nothing else."""
