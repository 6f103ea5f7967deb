"""The yardstick: the same page requests, sent as fast as the SDK sends them, and nothing else.

No ledger, no plan, no audit, no checkpoints, no pacing, no answer that is looked at.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

from azure.storage.blob.aio import BlobClient

from bench.requests import PageRequest


@dataclass(frozen=True)
class Loop:
    """How long it took, and what processor time this process spent on it."""

    seconds: float
    cpu_seconds: float


async def run_loop(
    target: BlobClient, source_url: str, requests: Sequence[PageRequest], at_once: int
) -> Loop:
    """Copies and clears, `at_once` requests under way; conditional on the sequence number, as the
    pipeline's are. `source_url` carries its own permission."""
    rest = iter(requests)
    number = (await target.get_blob_properties()).page_blob_sequence_number
    fence: dict[str, Any] = {"if_sequence_number_eq": str(number or 0)}

    async def work() -> None:
        for each in rest:
            start, size = each.start, each.size_bytes
            if each.clear:
                await target.clear_page(start, size, **fence)
            else:
                await target.upload_pages_from_url(source_url, start, size, start, **fence)

    began, cpu = perf_counter(), process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return Loop(perf_counter() - began, process_time() - cpu)
