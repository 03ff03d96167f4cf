"""Reproducible comparisons: weft beside no mesh, Envoy, HAProxy and nginx, in one run on one machine.

Only ratios between variants of the same run mean anything; absolute numbers say how fast this machine is today.
"""
