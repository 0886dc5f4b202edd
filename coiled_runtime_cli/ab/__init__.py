"""Interleaved A/B runs: arms of a folder, environments for them, blocks in random order, and a record that survives a crash.

A cell is one arm in one block: every selected test once, in a session of its own, stored as soon as it ends. What was
measured before a crash stays; the cell that it cut short is measured again.
"""
