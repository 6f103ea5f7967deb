"""`demo`: the whole story on a real disk image, with proof."""

import asyncio
import json
import time
from collections.abc import Coroutine
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli.demo.backups import ITEM, Pipeline
from cli.demo.filesystem import FileSystems, find_file_systems
from cli.demo.laptop import own_folder, own_stack, session_over
from cli.demo.proof import Proof
from cli.demo.report import show
from cli.demo.source import build
from cli.demo.story import Say, Story
from cli.demo.traffic import traffic_of
from cli.demo.vm import VM_SETTINGS, vm_demo
from cli.demo.vm.proof import VmProof
from cli.demo.vm.report import show as show_machines
from cli.failures import DONE, FAILED
from cli.output import AsJson, show_json, terminal
from cli.session import Session
from cli.spans import read_trace
from local import stack
from local.components import HOST_CLIENT, StackConfig
from local.storage.azurite import SOURCE, VAULT
from local.storage.controls import read_counters
from shared.model.ids import DiskUrl, JobId
from shared.model.job import Job

P = TypeVar("P", Proof, VmProof)

PROOF_FILE = "demo-proof.json"
LEAST_MIB, MOST_MIB = 32, 2048


def demo_command(
    size: Annotated[
        int, typer.Option("--size", min=LEAST_MIB, max=MOST_MIB, help="The disk's size, in MiB.")
    ] = 256,
    vm: Annotated[
        bool,
        typer.Option(
            "--vm",
            help="Virtual machines instead: one in a vault of ours, one in a Recovery Services "
            "vault of a laptop Azure.",
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the demo's folder: the stack's data and logs.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="The demo's folder, a new one; a temporary one if left."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Back up and restore a real disk image on a laptop stack of its own, and prove it right."""
    begun = time.monotonic()
    say = _narrator(begun, quiet=as_json)
    tools = find_file_systems()
    Path(PROOF_FILE).unlink(missing_ok=True)  # an earlier proof proves nothing of this run
    with own_folder(data_dir, keep=keep) as folder:
        with own_stack(folder, VM_SETTINGS if vm else None) as config:
            proof = _machines(config, tools, say) if vm else _disk(config, tools, size, say)
        proof = replace(proof, seconds=round(time.monotonic() - begun, 1))
    Path(PROOF_FILE).write_text(json.dumps(proof.view(), indent=2) + "\n")
    if as_json:
        show_json(proof.view())
    elif isinstance(proof, VmProof):
        show_machines(proof)
    else:
        show(proof)
    return FAILED if proof.problems() else DONE


def _narrator(begun: float, *, quiet: bool) -> Say:
    """Says a line of progress, with the seconds since the beginning."""

    def say(text: str) -> None:
        if not quiet:
            elapsed = time.monotonic() - begun
            terminal(errors=True).print(f"{elapsed:6.1f} s  {text}", soft_wrap=True)

    return say


def _machines(config: StackConfig, tools: FileSystems, say: Say) -> Proof | VmProof:
    return _told(vm_demo(config, tools, say))


def _disk(config: StackConfig, tools: FileSystems, size_mib: int, say: Say) -> Proof | VmProof:
    return _told(_whole(config, tools, size_mib, say))


def _told(story: Coroutine[Any, Any, P]) -> P:
    """The story from its begin to its proof. Raises the first of what went wrong."""
    try:
        return asyncio.run(story)
    except BaseExceptionGroup as failures:
        raise _first(failures) from None


async def _whole(config: StackConfig, tools: FileSystems, size_mib: int, say: Say) -> Proof:
    folder = config.data_dir / "demo"
    folder.mkdir()
    say(f"starting a stack, and making a disk of {size_mib} MiB, in {config.data_dir}")
    async with asyncio.TaskGroup() as group:
        started = group.create_task(asyncio.to_thread(stack.up, config))
        built = group.create_task(asyncio.to_thread(build, folder, tools, size_mib))
        # The session needs them next, and they take a second or two to load.
        group.create_task(asyncio.to_thread(import_module, "shared.wiring"))
    async with session_over(config) as session:
        story = Story(pipeline=_pipeline(session), tools=tools, folder=folder, say=say)
        points, original = await story.tell(built.result())
        trace_id = await _trace_of(session, points[1].job_id)
        counters = await asyncio.to_thread(read_counters, started.result().storage_url)
    return Proof(
        image_bytes=built.result().state.size_bytes,
        points=points,
        original=original,
        traffic=traffic_of(HOST_CLIENT, counters),
        trace_id=trace_id,
        spans=read_trace(config.data_dir / "telemetry", trace_id),
    )


def _pipeline(session: Session) -> Pipeline:
    source = DiskUrl(f"{session.endpoints[SOURCE.name]}/disks/demo.img")
    return Pipeline(session, source, f"{session.endpoints[VAULT.name]}/demo")


async def _trace_of(session: Session, job: JobId) -> str:
    row = await session.ports.ledger.get(ITEM, Job, job)
    return row.record.trace_id if row else ""


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first that is no group itself: what went wrong side by side mostly has one cause."""
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
