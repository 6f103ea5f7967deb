"""Plans, made window by window while the listings are read, and written as they are made."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from shared.decide.coalescing import Coalescer
from shared.decide.copying import plan_increment, plan_region, region_of, strayed
from shared.decide.cost import cost_model
from shared.model.extents import Image
from shared.model.plan import Draft, Op, PlanRef
from shared.model.ranges import FAR, PageRange, Span, size_bytes
from shared.ports import Ports
from shared.steps.extents import allocated, changed
from shared.steps.listing import Listing, Tally, changes, spans, windows


@dataclass(frozen=True)
class Window:
    """What is to be done in one stretch of the disk, and what the source has allocated there,
    where somebody asked."""

    ops: Sequence[Op]
    source: Sequence[Span] | None


Compare = Callable[[Sequence[Span], Sequence[Span]], Sequence[Op]]


async def compared(
    ports: Ports, tally: Tally, source: Image, image: Image, compare: Compare
) -> AsyncIterator[Window]:
    """By what is allocated in the source, and in the image."""
    ours = spans(tally, allocated(ports, source))
    theirs = spans(tally, allocated(ports, image))
    async for end in windows(FAR, (ours, theirs)):
        held = ours.take(end)
        tally.changed_bytes += size_bytes(held)
        yield Window(compare(held, theirs.take(end)), held)


async def increment(
    ports: Ports, tally: Tally, source: Image, since: Image, diverged: Listing[Op]
) -> AsyncIterator[Window]:
    """By what the source says has changed since the base, and by what diverged from the base in
    the replica without the source having changed there (invariant 4)."""
    cost = cost_model(ports.pace)
    diff = changes(tally, changed(ports, source, since))
    async for end in windows(source[-1].end, (diff, diverged)):
        ops = diff.take(end)
        stray = strayed(diverged.take(end), ops)
        tally.changed_bytes += sum(last - first for first, last, _ in ops)
        tally.strayed_ranges += len(stray)
        if stray or cost.worth_listing(ops):
            held = await _around(ports, tally, source, ops, stray)
            yield Window(plan_increment(ops, stray, held), held)
        else:
            yield Window(ops, None)


async def differing(
    ports: Ports, tally: Tally, source: Image, *diffs: Listing[Op]
) -> AsyncIterator[Window]:
    """Made like the source wherever any of the diffs says that something changed."""
    async for end in windows(source[-1].end, diffs):
        region = region_of(*[diff.take(end) for diff in diffs])
        held = await _around(ports, tally, source, region) if region else []
        yield Window(plan_region(region, held), held)


async def _around(
    ports: Ports, tally: Tally, source: Image, *lists: Sequence[Span | Op]
) -> Sequence[Span]:
    """What the source has allocated from the first of the ranges to the last."""
    hull = PageRange(
        min(ranges[0][0] for ranges in lists if ranges),
        max(ranges[-1][1] for ranges in lists if ranges),
    )
    return await tally.all(allocated(ports, source, hull))


async def write_plan(ports: Ports, url: str, image: Image, work: AsyncIterator[Window]) -> PlanRef:
    """Writes the plan for all windows of the image while they come; where nothing is to be done,
    no plan is written. What the listings raise goes through, and leaves no plan."""
    draft = Draft([(extent.start, extent.end) for extent in image])
    blocks = _blocks(draft, Coalescer(cost_model(ports.pace)), work)
    first = await anext(blocks, b"")
    if first:
        await ports.plans.put(url, _chain(first, blocks))
    return draft.reference(url)


async def _blocks(
    draft: Draft, coalescer: Coalescer, work: AsyncIterator[Window]
) -> AsyncIterator[bytes]:
    async for window in work:
        draft.add(coalescer.requests(window.ops, window.source))
        for block in draft.blocks():
            yield block
    draft.add(coalescer.rest())
    yield draft.rest()


async def _chain(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for block in others:
        yield block
