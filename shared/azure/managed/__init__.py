"""Managed disks behind the ports: their snapshots are read, and new disks written, by SAS."""
