"""The language that the programs share. Nothing in here imports a program, opens a socket or reads a clock.

`journal` alone writes: the log, to standard error.
"""
