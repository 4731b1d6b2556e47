"""Pure functions from snapshots to what is on screen: texts, tones, and what may be pressed.

No widgets, no clocks (`now` is an argument), no I/O; tables of cases in tests/ui hold them. One module per page.
"""
