"""The whole stack under test, used as people use it: SDKs, posted commands, the command line.

What people cannot do but a failing machine can (killing the host, faults in storage and bus) is
here, too. Every wait has a deadline; every scripted fault must have fired.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import psutil
from azure.data.tables import TableServiceClient
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusSender,
    ServiceBusSubQueue,
)
from azure.storage.blob import BlobClient, BlobServiceClient
from typer.testing import CliRunner

from cli.main import app
from local import processes, stack
from local.components import ROLES, Component, StackConfig
from local.ports import PORT_NAMES, Ports, free_ports
from local.servicebus.control import Control
from local.settings import RESTORE_GROUP, SUBSCRIPTION
from local.storage.controls import (
    Fault,
    FaultCount,
    OperationCount,
    add_faults,
    clear_faults,
    read_counters,
    read_faults,
)
from shared.model.ids import ItemId, JobId, RequestId, request_job
from tests.e2e.disk import Disk

T = TypeVar("T")
Json = dict[str, Any]

PATIENCE_SECONDS = 90.0
REST_SECONDS = 2.5
ANOTHER_SUBSCRIPTION = "5afe0000-0000-4000-8000-000000000002"
MACHINES_GROUP = "machines"
"""The resource group of managed disks and machines: they are restored in place, too."""
HASTE = {
    "VAULTLINE_TICK_SCHEDULE": "*/2 * * * * *",
    "VAULTLINE_RECONCILE_SCHEDULE": "*/2 * * * * *",
    "VAULTLINE_STALL_SECONDS": "3",
    "VAULTLINE_REST_SECONDS": "20",
    "VAULTLINE_MAX_ATTEMPTS": "60",
    "VAULTLINE_GRANT_LINGER_SECONDS": "20",
    "VAULTLINE_VAULT_LOOK_SECONDS": "1",
    "VAULTLINE_VAULT_WAIT_SECONDS": "3",
    "VAULTLINE_VAULT_MIRROR_SECONDS": "10",
    "VAULTLINE_SUBSCRIPTIONS": f"{SUBSCRIPTION},{ANOTHER_SUBSCRIPTION}",
    "VAULTLINE_RESTORE_GROUPS": f"{RESTORE_GROUP},{MACHINES_GROUP}",
}
"""Settings under which what takes minutes in Azure takes seconds; giving up stays far away."""
POLICY, VAULT = "gold", "e2e"
POLICY_DOCUMENT = """
name: gold
time_zone: UTC
schedule: {frequency: weekly, on: [sunday], at: ["03:00"]}
retention:
  weekly: {keep: 4, on: [sunday]}
"""
ENDED = ("Completed", "CompletedWithWarnings", "Failed", "Cancelled")


@dataclass(frozen=True)
class DeadLetter:
    """A dead-lettered message: whose it is, and why."""

    message_id: str
    reason: str
    description: str
    body: bytes


class Rig:
    """A stack of its own in a folder: made by `open_rig`, ended with it."""

    def __init__(self, folder: Path) -> None:
        self.ports = Ports(*free_ports(len(PORT_NAMES)))
        (control_port,) = free_ports(1, avoid=asdict(self.ports).values())
        self._control_port = control_port
        self.bus = Control(control_port)
        self.config: StackConfig = stack.stack_config(
            folder, ports=asdict(self.ports), settings=HASTE, faults=True
        )
        self._blobs: dict[str, BlobServiceClient] = {}
        self._senders: dict[str, ServiceBusSender] = {}
        self._open = ExitStack()

    # ------------------------------------------------------------ the stack

    def start(self, **settings: str) -> None:
        """Starts what does not run; `settings` are for a host that is started now."""
        self.start_storage()
        self.start_bus()
        stack.up(self.config, settings=settings)

    def start_storage(self) -> None:
        stack.up(self.config, only=[Component.STORAGE])

    def start_bus(self) -> None:
        """As the supervisor does, with the port that takes faults besides."""
        if processes.is_alive(processes.recorded(self.config.run_dir, Component.SERVICE_BUS)):
            return
        role = ROLES[Component.SERVICE_BUS]
        program = role.program(self.config, self.ports)
        argv = (*program.argv, "--control-port", str(self._control_port))
        processes.start(replace(program, argv=argv), self.config.run_dir)
        until(lambda: role.is_ready(self.ports), "the bus to listen")

    def stop(self, *components: Component) -> list[str]:
        """SIGTERM to those, or to all; the names of those that were running."""
        if Component.SERVICE_BUS in (components or Component):
            self.hang_up()
        return stack.down(self.config, only=components or None)

    def kill_host(self) -> None:
        """SIGKILL: the host gets no chance to do anything any more."""
        record = processes.recorded(self.config.run_dir, Component.HOST)
        assert processes.is_alive(record), "the host had died before it was killed"
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        until(lambda: not processes.is_alive(record), "the host to be dead")
        self.stop(Component.HOST)

    def refresh_host(self, **settings: str) -> None:
        """A host under other settings in the place of the one that runs."""
        self.stop(Component.HOST)
        self.start(**settings)

    @property
    def environment(self) -> stack.Environment:
        return stack.environment(self.config)

    @property
    def processes(self) -> list[psutil.Process]:
        """Every living process of this stack."""
        return [
            each
            for each in psutil.process_iter(["cmdline"])
            if str(self.config.data_dir) in (line := " ".join(each.info["cmdline"] or ()))
            and "undertaker" not in line
        ]

    @property
    def app_settings(self) -> dict[str, str]:
        """What the app's settings are."""
        return stack.settings(self.config)

    @property
    def people_environment(self) -> dict[str, str]:
        """The environment of somebody who works with this stack."""
        known = {key: value for key, value in os.environ.items() if key != "VAULTLINE_STATE"}
        return {**known, "VAULTLINE_DATA_DIR": str(self.config.data_dir)}

    # ------------------------------------------------------------ storage

    def service(self, account: str = "source") -> BlobServiceClient:
        """The real SDK's client of one of the accounts."""
        if account not in self._blobs:
            text = getattr(self.environment.storage, account)
            self._blobs[account] = BlobServiceClient.from_connection_string(
                text, retry_total=3, initial_backoff=1, logging_enable=False
            )
        return self._blobs[account]

    def disk(self, size_bytes: int = 8 * 1024 * 1024, name: str = "") -> Disk:
        """A new page blob in the source account."""
        blob = self.service().get_blob_client("disks", name or f"disk-{uuid4().hex[:8]}")
        blob.create_page_blob(size_bytes)
        return Disk(blob, size_bytes)

    def blob(self, url: str) -> BlobClient:
        """The blob behind a URL of the source account."""
        container, _, name = url.split("/vlsource/", 1)[1].partition("/")
        return self.service().get_blob_client(container, name)

    def content(self, url: str) -> bytes:
        return self.blob(url).download_blob().readall()

    def rows(self) -> Iterator[Json]:
        """Every row of every table."""
        state = self.environment.storage.state
        with TableServiceClient.from_connection_string(state) as service:
            for table in service.list_tables():
                for row in service.get_table_client(table.name).list_entities():
                    yield {"table": table.name, **row}

    @contextmanager
    def storage_faults(self, *faults: Fault) -> Iterator[Callable[[], Sequence[FaultCount]]]:
        """Scripts the faults for the time of the block; asserts that each fired."""
        root = self.environment.storage_url
        add_faults(root, faults)
        try:
            yield lambda: read_faults(root)
        finally:
            counts = clear_faults(root)
        assert all(count.fired for count in counts), f"a fault did not fire: {counts}"

    def counters(self) -> tuple[OperationCount, ...]:
        return read_counters(self.environment.storage_url)

    def at_rest(self) -> None:
        """Waits until no transaction of the ledger has been written for a while."""

        def transactions() -> int:
            rows = self.counters()
            return sum(row.requests for row in rows if row.operation == "Table_Batch")

        def look() -> bool:
            before = transactions()
            time.sleep(REST_SECONDS)
            return transactions() == before

        until(look, "the ledger to be at rest", self.story)

    # ------------------------------------------------------------ the bus

    @contextmanager
    def client(self) -> Iterator[ServiceBusClient]:
        connection = self.environment.service_bus
        with ServiceBusClient.from_connection_string(connection) as client:
            yield client

    def send(self, *messages: ServiceBusMessage, queue: str = "commands") -> None:
        """Over a link that stays open: opening and closing one takes the SDK over a second."""
        if queue not in self._senders:
            client = ServiceBusClient.from_connection_string(self.environment.service_bus)
            self._senders[queue] = client.get_queue_sender(queue)
            self._open.callback(client.close)
            self._open.callback(self._senders[queue].close)
        self._senders[queue].send_messages(list(messages))

    def hang_up(self) -> None:
        """Closes the links that `send` opened."""
        self._senders.clear()
        self._open.close()

    def post(self, **command: Any) -> RequestId:
        """Posts a command as anybody may; its request id."""
        request = RequestId(command.pop("request_id", uuid4().hex))
        self.send(ServiceBusMessage(json.dumps(command), message_id=request))
        return request

    def dead_letters(self, ids: Collection[str], queue: str = "commands") -> dict[str, DeadLetter]:
        """The dead letters with those MessageIds, once they are all there; taken off the queue."""
        found: dict[str, DeadLetter] = {}
        with (
            self.client() as client,
            client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver,
        ):

            def look() -> bool:
                for message in receiver.receive_messages(len(ids), max_wait_time=1):
                    found[str(message.message_id)] = _dead_letter(message)
                    receiver.complete_message(message)
                return found.keys() >= set(ids)

            until(look, f"dead letters {ids} in {queue}", self.story)
        return {id_: found[id_] for id_ in ids}

    def peeked(self, queue: str, *, dead: bool = False) -> list[bytes]:
        """The bodies of what the queue (or its dead letters) holds, locked messages included."""
        sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead else None
        with (
            self.client() as client,
            client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver,
        ):
            return [b"".join(message.body) for message in receiver.peek_messages(100)]

    def drained(self, *queues: str) -> None:
        """Waits until the queues hold nothing that is to be served."""
        until(
            lambda: not any(self.bus.counts()[queue]["active"] for queue in queues),
            f"{queues} to be served",
            self.story,
        )

    # ------------------------------------------------------------ people

    def vaultline(self, *arguments: str) -> Any:
        """What a command prints with `--json`; it must succeed."""
        told = CliRunner().invoke(
            app,
            [*arguments, "--json"],
            env={
                "VAULTLINE_DATA_DIR": str(self.config.data_dir),
                "VAULTLINE_STATE": None,
                "VAULTLINE_SUBSCRIPTIONS": HASTE["VAULTLINE_SUBSCRIPTIONS"],
            },
        )
        if told.exception and not isinstance(told.exception, SystemExit):
            raise told.exception
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    def item(self, item: str) -> Json:
        return next(each for each in self.vaultline("items") if each["id"] == item)

    def job(self, id_: str) -> Json | None:
        """The job as `vaultline jobs` shows it; None before it is there."""
        return next(
            (each for each in self.vaultline("jobs", id_.split(".")[0]) if each["id"] == id_), None
        )

    def points(self, item: str) -> list[Json]:
        """Oldest first."""
        listed: list[Json] = self.vaultline("points", item)
        return listed

    def set_up_catalog(self) -> None:
        policy = self.config.data_dir / "gold.yaml"
        policy.write_text(POLICY_DOCUMENT)
        self.vaultline("policy", "apply", str(policy))
        # As small as extents may be: most replicas here are several page blobs.
        self.vaultline("vault", "create", VAULT, "--extent-size", "4MiB")

    # ------------------------------------------------------------ the pipeline

    def protect(self, disk: Disk, item: str = "") -> ItemId:
        """Protects the disk by a posted command; its item."""
        id_ = ItemId(item or f"item-{uuid4().hex[:8]}")
        request = self.post(
            type="protect", source=disk.url, policy=POLICY, vault=VAULT, item_id=id_
        )
        until(lambda: self._listed(id_), f"item {id_} to be protected", self.story)
        assert self.ended(request_job(id_, "protect", request))["status"] == "Completed"
        return id_

    def _listed(self, item: ItemId) -> bool:
        return any(each["id"] == item for each in self.vaultline("items"))

    def ask_backup(self, item: ItemId) -> JobId:
        """Posts a `backup-now`; the job that it will start."""
        return request_job(item, "backup", self.post(type="backup-now", item_id=item))

    def backup(self, item: ItemId, status: str = "Completed") -> Json:
        """Backs up and waits; the job, whose end must be `status`."""
        job = self.ended(self.ask_backup(item))
        assert job["status"] == status, job
        return job

    def backup_point(self, item: ItemId) -> Json:
        """Backs up and waits; the point that was made."""
        job = self.backup(item)
        return next(each for each in self.points(item) if each["job_id"] == job["id"])

    def ask_restore(self, item: ItemId, point: str, to: str) -> JobId:
        """Posts a `restore` to a new blob's URL, or onto the disk itself (`original`)."""
        target = {"kind": "original", "confirm": True}
        if to != "original":
            target = {"kind": "alternate", "url": to}
        request = self.post(type="restore", item_id=item, point=point, target=target)
        return request_job(item, "restore", request)

    def restored(self, item: ItemId, point: str = "latest") -> bytes:
        """The point's bytes, by a restore to a new blob."""
        return self._restored(item, [point])[0]

    def assert_restorable(self, item: ItemId, contents: Mapping[str, bytes]) -> None:
        """Every point restores to its content, byte for byte (invariant 2)."""
        for point, found in zip(contents, self._restored(item, list(contents)), strict=True):
            assert found == contents[point], f"{point} differs"

    def _restored(self, item: ItemId, points: Sequence[str]) -> list[bytes]:
        urls = [self.new_url() for _ in points]
        asked = [self.ask_restore(item, *each) for each in zip(points, urls, strict=True)]
        for job in map(self.ended, asked):
            assert job["status"] == "Completed", job
        return [self.content(url) for url in urls]

    def new_url(self) -> str:
        """The URL of a blob of the source account that does not exist yet."""
        return self.service().get_blob_client("restored", uuid4().hex).url

    def ended(self, job: JobId, seconds: float = PATIENCE_SECONDS) -> Json:
        """The job once it has ended."""

        def look() -> Json | None:
            found = self.job(job)
            return found if found and found["status"] in ENDED else None

        return until(look, f"job {job} to end", self.story, seconds)

    def snapshot_taken(self, job: JobId) -> Json:
        """The job once its source snapshot is taken: from then on the disk may change."""

        def look() -> Json | None:
            found = self.job(job)
            return found if found and task(found, "Take Snapshot") == "Completed" else None

        return until(look, f"the snapshot of {job}", self.story)

    def story(self) -> str:
        """What helps to understand why a wait was in vain."""
        log = (self.config.data_dir / "logs" / "host.log").read_text(errors="replace")
        return f"{self.vaultline('jobs')}\n{self.bus.counts()}\n{log[-6000:]}"


def task(job: Json, name: str) -> str:
    """The status of one of the job's sub-tasks."""
    return next(str(each["status"]) for each in job["sub_tasks"] if each["name"] == name)


def until(
    look: Callable[[], T | None],
    what: str,
    tell: Callable[[], object] = lambda: "",
    seconds: float = PATIENCE_SECONDS,
) -> T:
    """The first true value that `look` answers; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}\n{tell()}"
        time.sleep(0.1)
    return found


def _dead_letter(message: Any) -> DeadLetter:
    return DeadLetter(
        message_id=str(message.message_id),
        reason=message.dead_letter_reason or "",
        description=message.dead_letter_error_description or "",
        body=b"".join(message.body),
    )


@contextmanager
def open_rig(folder: Path) -> Iterator[Rig]:
    """A running stack with a vault, a policy and containers; gone at the end, whatever happens:
    a process that holds the other end of a pipe sees to it even where this one is killed."""
    rig = Rig(folder)
    command = [sys.executable, "-m", "tests.e2e.undertaker", str(folder)]
    with subprocess.Popen(command, cwd=rig.config.root, stdin=subprocess.PIPE) as undertaker:
        try:
            rig.start()
            rig.service().create_container("disks")
            rig.service().create_container("restored")
            rig.set_up_catalog()
            yield rig
        finally:
            rig.stop()
            assert undertaker.stdin is not None
            undertaker.stdin.close()
