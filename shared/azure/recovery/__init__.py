"""Azure's own vaults behind the port: they take the snapshots and move the bytes, we ask and read.

The SDK knows no classes for machines' items, and its long-running operations wait by sleeping: so
bodies are read and written by their wire names, and what is begun is followed by its name.
"""
