"""The examples of docs/cli are run as they stand there, over ports in memory.

Each page is one world, its commands run in the order of the page, and the host serves what they
ask for. In a ```console block:

- `$ vaultline …` is run; it must end with status 0. A `\\` at a line's end continues it.
- `# setup: NAME` first does what the function of that name below does.
- `# status: N` says that the next command must end with N.
- other lines are output, which must be printed so; `…` stands for anything.
"""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from cli.session import Session
from shared.contracts.policy import default_policy, parse_policy
from shared.memory import Fault
from shared.model.ids import DiskUrl
from shared.model.inspection import Inspected, SecurityGroup
from shared.model.machine import OS_LUN
from shared.model.messages import COPY
from tests.sim import mirrored
from tests.sim.rot import rot
from tests.sim.scenes import MIB, backup, scheduled, scribble
from tests.sim.vm_scenes import VM, disk_url
from tests.sim.world import DISK, ITEM, POLICY, World
from tests.unit.test_vm_network import rule
from tests.unit.vm_seen import default_rules, interface

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/cli").glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDPOINTS = {name: f"https://{name}.blob.core.windows.net" for name in ("vlsource", "vlvault")}

Setup = Callable[[World], Coroutine[Any, Any, None]]


# ---------------------------------------------------------------- what examples begin with


async def a_disk(world: World) -> None:
    """A page blob with some content, not protected; policy `gold` and vault `vault`."""
    await world.set_up()
    world.ports.storage.create(DISK, 2 * MIB)
    scribble(world, 1)


async def protected(world: World) -> None:
    """The disk as item `os-disk` under policy `gold`, with two points of its schedule."""
    await a_disk(world)
    await world.protect()
    await world.settle()
    await scheduled(world)
    await scheduled(world)


async def requested(world: World) -> None:
    """One more backup of `os-disk`, by request."""
    await backup(world)


async def held(world: World) -> None:
    """The clock of `os-disk`'s host jumps by 40 days, its next clean-up is held."""
    world.ports.clock.advance(40 * 86400)
    await scheduled(world)


async def refused_commands(world: World) -> None:
    """Two backups of an item that does not exist; the first messages of their world."""
    for name in ("first", "second"):
        await world.command(type="backup-now", item_id="nobody", request_id=name)
        await world.serve_one()


async def stuck_backup(world: World) -> None:
    """A backup of `os-disk` that copies in vain, and would for long."""
    world.ports.faults.plan(Fault(call="images.copy", times=10**9))
    scribble(world)
    await world.command(type="backup-now", item_id=ITEM, request_id="stuck")
    while not world.ports.bus.available(COPY):
        await world.serve_one()


async def default_only(world: World) -> None:
    """The policy that exists from the start, and nothing else."""
    await world.ports.catalog.put_policy(default_policy())


async def damaged(world: World) -> None:
    """`os-disk` with two points; a page of its replica, which both hold, has rotted."""
    await a_disk(world)
    world.ports.storage.put(DISK, 0, b"data" * 4096)
    await world.protect()
    await world.settle()
    await scheduled(world)
    await scheduled(world)
    item = await world.item()
    assert item is not None
    rot(world, item, 4200)


async def farm(world: World) -> None:
    """Five page blobs, two of them tagged `backup=yes`; policy `gold`; no vault yet."""
    await world.ports.catalog.put_policy(parse_policy(POLICY))
    for name in ("db-1", "db-2", "web-1", "web-2", "web-3"):
        url = DiskUrl(DISK.replace("os.vhd", f"{name}.vhd"))
        world.ports.storage.create(url, MIB)
        if name.startswith("db"):
            world.ports.storage.label(url, "backup", "yes")


async def a_machine(world: World) -> None:
    """A machine `web` of a system disk and a data disk, whose subnet denies the internet."""
    await world.set_up()
    disks = {lun: disk_url(f"web-{name}") for lun, name in ((OS_LUN, "os"), (0, "data"))}
    for disk in disks.values():
        world.ports.storage.create(disk, 2 * MIB)
        world.ports.storage.put(disk, 0, b"data" * 4096)
    world.ports.machines.create(VM, disks)
    machine = await world.ports.machines.state(VM)
    rules = (rule(200, destinations=("Internet",)), *default_rules())
    fence = SecurityGroup(name="apps", group="prod", at="subnet", rules=rules)
    world.ports.inspection.place(
        Inspected(machine=machine, interfaces=(interface(security_groups=(fence,)),))
    )


async def opened(world: World) -> None:
    """The rules that `vm check` asks for have been added."""
    machine = await world.ports.machines.state(VM)
    world.ports.inspection.place(Inspected(machine=machine, interfaces=(interface(),)))


async def a_machine_and_no_vault(world: World) -> None:
    """A machine `web`, and a policy that a Recovery Services vault can do all of."""
    await world.ports.catalog.put_policy(parse_policy(mirrored.POLICY))
    world.ports.storage.create(mirrored.DISK, MIB)
    world.ports.machines.create(mirrored.MACHINE, {OS_LUN: mirrored.DISK})


SETUPS: dict[str, Setup] = {
    each.__name__: each
    for each in (
        a_disk,
        a_machine,
        a_machine_and_no_vault,
        opened,
        protected,
        requested,
        held,
        default_only,
        damaged,
        farm,
        refused_commands,
        stuck_backup,
    )
}


# ---------------------------------------------------------------- running a page


@dataclass(frozen=True)
class Command:
    """A command of a page, and what the page says of it."""

    text: str
    setups: tuple[str, ...]
    status: int
    output: tuple[str, ...]


def commands(page: str) -> Iterator[Command]:
    """The page's commands, in order."""
    for block in BLOCK.findall(page):
        setups, status, shown = [], 0, None
        for line in block.replace("\\\n", " ").splitlines():
            if name := _directive(line, "setup"):
                setups.append(name)
            elif number := _directive(line, "status"):
                if shown:
                    yield shown
                shown, status = None, int(number)
            elif line.startswith("$ "):
                if shown:
                    yield shown
                shown = Command(line.removeprefix("$ "), tuple(setups), status, ())
                setups, status = [], 0
            elif shown and line.strip():
                shown = Command(shown.text, shown.setups, shown.status, (*shown.output, line))
        if shown:
            yield shown


def _directive(line: str, name: str) -> str:
    found = re.fullmatch(rf"# {name}: (\S+)", line.strip())
    return found[1] if found else ""


def run(world: World, command: Command) -> str:
    """Runs a command while the host works; everything it printed."""
    program, *args = shlex.split(command.text, comments=True)
    assert program == "vaultline", command.text
    result = CliRunner().invoke(app, args, obj=lambda: session(world))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == command.status, f"{command.text}\n{result.output}"
    asyncio.run(world.settle())
    return result.output


@asynccontextmanager
async def session(world: World) -> AsyncIterator[Session]:
    """A command's session, with the host at work beside it."""
    host = asyncio.create_task(serve(world))
    try:
        yield Session(ports=world.ports, endpoints=ENDPOINTS, poll_seconds=0)
    finally:
        host.cancel()


async def serve(world: World) -> None:
    while True:
        await asyncio.sleep(0)
        if not await world.serve_one():
            await world.wait()


def missing(output: str, wanted: tuple[str, ...]) -> list[str]:
    """The lines that the page shows and the command did not print."""
    lines = [" ".join(line.split()) for line in output.splitlines()]
    return [
        line
        for line in wanted
        if not any(re.fullmatch(_pattern(line), printed) for printed in lines)
    ]


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in " ".join(line.split()).split("…"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_do_what_it_says(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    world, ran = World(), 0
    for command in commands(page.read_text(encoding="utf-8")):
        for name in command.setups:
            asyncio.run(SETUPS[name](world))
        output = run(world, command)
        assert missing(output, command.output) == [], f"$ {command.text}\n{output}"
        ran += 1
    assert ran, "the page has no example"


def test_commands_are_read_with_their_setup_status_and_output() -> None:
    page = (
        "```console\n# setup: one\n$ vaultline a \\\n  b  # why\nout\n"
        "# status: 2\n$ vaultline c\n```\n"
    )
    assert list(commands(page)) == [
        Command("vaultline a    b  # why", ("one",), 0, ("out",)),
        Command("vaultline c", (), 2, ()),
    ]


def test_shown_output_must_be_printed() -> None:
    assert missing("a  b\nnote 17 left\n", ("a b", "note … left")) == []
    assert missing("a b\n", ("a",)) == ["a"]
