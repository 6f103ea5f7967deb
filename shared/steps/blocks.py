"""The memory of a process: how many operations may hold bytes of disks at the same time.

A host takes many parts at once, and each has its workers: without a common bound a streamed disk
would fill a small instance (fault 24).
"""

import asyncio
from weakref import WeakKeyDictionary

from shared.ports import Images, Ports

_HOLDERS: WeakKeyDictionary[Images, asyncio.Semaphore] = WeakKeyDictionary()
"""By the images that are written to: a process has one set of them."""


def holders(ports: Ports) -> asyncio.Semaphore:
    """The places for operations that hold bytes, of all parts of this process together."""
    if ports.images not in _HOLDERS:
        _HOLDERS[ports.images] = asyncio.Semaphore(ports.pace.holders)
    return _HOLDERS[ports.images]
