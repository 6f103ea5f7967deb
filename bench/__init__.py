"""Measurements that anybody can repeat: `python -m bench` (or `make bench`) runs them all."""
