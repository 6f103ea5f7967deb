"""What was written survives SIGTERM, and so do diffs; unreferenced bytes go, referenced stay."""

import json
import subprocess

import pytest

from local.node import find_node
from local.storage.azurite import HOME
from tests.stack.azurite_fixtures import VAULT, RunningStorage
from tests.stack.storage_disks import (
    PAGE,
    Span,
    at,
    changed,
    clear,
    new_disk,
    read_url,
    take_snapshot,
    text,
    write,
)

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack


def test_a_restart_keeps_bytes_pointers_and_diffs(own_storage: RunningStorage) -> None:
    disk = new_disk(own_storage.container(), "disk", 16)
    write(disk, 0, "abcdefgh")
    before = take_snapshot(disk)
    replica = new_disk(own_storage.container(VAULT), "replica", 16)
    replica.upload_pages_from_url(read_url(disk, before), 0, 8 * PAGE, 0)
    copied = take_snapshot(replica)
    write(disk, 1, "B")
    clear(disk, 2)
    replica.upload_pages_from_url(read_url(disk), 0, 2 * PAGE, 0)
    own_storage.stop()

    own_storage.start()

    # Collecting runs at every start, so what is read here was spared by it.
    assert text(replica) == "aBcdefgh........"
    assert text(at(replica, copied)) == "abcdefgh........"
    assert changed(disk, before) == [Span(1, 2), Span(2, 3, cleared=True)]
    assert changed(replica, copied) == [Span(0, 2)]
    write(disk, 4, "E")
    assert changed(disk, before) == [
        Span(1, 2),
        Span(2, 3, cleared=True),
        Span(4, 5),
    ]


def test_shared_bytes_outlive_their_source_and_unshared_ones_are_collected(
    own_storage: RunningStorage,
) -> None:
    source = new_disk(own_storage.container(), "disk", 16)
    write(source, 0, "abcd")
    replica = new_disk(own_storage.container(VAULT), "replica", 16)
    replica.upload_pages_from_url(read_url(source), 0, 4 * PAGE, 0)
    source.delete_blob()
    # A restart begins new extents, so that the next disk's bytes lie in one of their own.
    own_storage.stop()
    own_storage.start()
    assert text(replica)[:4] == "abcd"
    lonely = new_disk(own_storage.container(), "lonely", 16)
    write(lonely, 0, "wxyz")
    own_storage.stop()
    own_storage.start()
    held = extents(own_storage)
    lonely.delete_blob()
    own_storage.stop()
    own_storage.start()

    assert text(replica)[:4] == "abcd"
    assert extents(own_storage) < held


def extents(storage: RunningStorage) -> set[str]:
    return {path.name for path in (storage.data_dir / "__blobstorage__").iterdir()}


def test_a_tied_storage_ends_with_the_pipe_and_keeps_what_was_written(
    own_storage: RunningStorage,
) -> None:
    disk = new_disk(own_storage.container(), "disk", 2)
    write(disk, 0, "ab")
    process = own_storage.process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) is not None
    own_storage.start()
    assert text(disk) == "ab"


REFERRED = """
const extents = require("./gapfill/extents");
const { load } = require("./gapfill/azurite");
extents.install();
const store = Object.create(load("blob/persistence/LokiBlobMetadataStore").prototype);
store.listAllBlobs = async () => [[], undefined];
store.listUncommittedBlockPersistencyChunks = async () => [[], undefined];

async function referred(iterator) {
  const ids = [];
  for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
    ids.push(...step.value);
  }
  return ids.sort();
}

async function main() {
  const share = (id) => extents.sharedRanges([{ id, offset: 0, count: 512 }], 0);
  const runs = [];
  share("before");
  const running = store.iteratorExtents();
  await running.next();
  share("during#1.1");
  runs.push(await referred(running));
  runs.push(await referred(store.iteratorExtents()));
  runs.push(await referred(store.iteratorExtents()));
  console.log(JSON.stringify(runs));
}
main();
"""


def test_a_collection_spares_what_a_write_in_flight_is_about_to_point_at() -> None:
    node = str(find_node().executable)
    done = subprocess.run([node, "-e", REFERRED], cwd=HOME, capture_output=True, check=True)
    assert json.loads(done.stdout) == [["before", "during"], ["during"], []]
