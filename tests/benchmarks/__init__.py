"""Measurements, not tests: ratios against a baseline in the same run. `python3 dev.py bench` prints them as a table."""
