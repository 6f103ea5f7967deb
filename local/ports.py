"""Which ports the stack listens on: asked for, kept from last time, or picked."""

import secrets
import socket
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from itertools import islice

import psutil

from local.errors import PortTaken, StackError
from local.storage.azurite import HOST, StoragePorts

# Below what Linux, macOS and Windows hand out to clients (from 32768 and 49152 up).
LISTENING = range(20000, 32000)


@dataclass(frozen=True)
class Ports:
    """Every port of the stack, all on the loopback."""

    blob: int
    table: int
    queue: int
    service_bus: int
    host: int
    arm: int

    @property
    def storage(self) -> StoragePorts:
        """The ports of the storage component."""
        return StoragePorts(blob=self.blob, table=self.table, queue=self.queue)


PORT_NAMES = tuple(field.name for field in fields(Ports))


def choose_ports(
    asked: Mapping[str, int], saved: Ports | None, in_use_by_us: Collection[str]
) -> Ports:
    """Ports to start on: those asked for, else those saved where still free, else free ones.

    `in_use_by_us` names the ports that a running component of this stack listens on; they stay.
    Raises PortTaken for a port asked for that another process holds.
    """
    kept = asdict(saved) if saved else {}
    chosen: dict[str, int] = {name: kept[name] for name in in_use_by_us}
    for name, port in asked.items():
        if name not in chosen:
            if not is_free(port):
                raise PortTaken(name, port, holder_of(port))
            chosen[name] = port
    for name, port in kept.items():
        if name not in chosen and port not in chosen.values() and is_free(port):
            chosen[name] = port
    missing = [name for name in PORT_NAMES if name not in chosen]
    chosen.update(zip(missing, free_ports(len(missing), avoid=chosen.values()), strict=True))
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with closing(socket.socket()) as probe:
        # As servers do: a port whose last connections are still winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int, avoid: Collection[int] = ()) -> list[int]:
    """Distinct free ports from a range that the system gives to no outgoing connection.

    So a component finds its port free again after a restart. Raises StackError where all are taken.
    """
    begin = secrets.randbelow(len(LISTENING))
    candidates = (*LISTENING[begin:], *LISTENING[:begin])
    free = (port for port in candidates if port not in avoid and is_free(port))
    found = list(islice(free, count))
    if len(found) < count:
        raise StackError(
            f"No free port between {LISTENING.start} and {LISTENING.stop}. Stop other servers."
        )
    return found


def holder_of(port: int) -> str:
    """The process that listens on the port, as far as we may see it."""
    try:
        for each in psutil.net_connections(kind="tcp"):
            listening = each.status == psutil.CONN_LISTEN and each.laddr
            if listening and listening.port == port and each.pid:
                return f"{psutil.Process(each.pid).name()} (pid {each.pid})"
    except psutil.Error:
        pass
    return "another process"
