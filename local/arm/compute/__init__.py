"""Microsoft.Compute: virtual machines, managed disks, snapshots and restore points.

The bytes of a disk are a page blob of the local storage, behind a hidden name.
"""
