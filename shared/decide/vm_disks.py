"""What a check says of a machine's disks: those that no restore point can hold, or only some, and
those that nobody may read. Source: Azure's support matrix of restore points."""

from collections.abc import Iterator, Sequence

from shared.model.inspection import SeenDisk
from shared.model.machine import OS_LUN, Consistency, Luns
from shared.model.vm_check import Finding, ok, problem, warning

TEBIBYTE = 1024**4
NOT_BY_CRASH = frozenset({"ultrassd_lrs", "premiumv2_lrs"})
"""Kinds of disks that crash-consistent restore points cannot hold."""
VAULT_DISKS = 32
VAULT_DISK_BYTES = 32 * TEBIBYTE
VAULT_BYTES = 256 * TEBIBYTE
"""Most that Azure's own vaults take of one machine: data disks, bytes a disk, bytes in all."""


def disk_findings(
    disks: Sequence[SeenDisk], luns: Luns | None, likely: Consistency
) -> Iterator[Finding]:
    """Of the disks that are backed up: all, or those that the item's `luns` have. `likely` is what
    the next backup promises."""
    chosen = [disk for disk in disks if luns is None or luns.has(disk.lun)]
    found = [finding for disk in chosen for finding in _of(disk, likely)]
    found += _of_all(chosen)
    if not found:
        count = f"{len(chosen)} disks" if len(chosen) != 1 else "1 disk"
        found = [ok("DisksReady", "disks", f"{count}, all of which restore points can hold")]
    yield from found


def _of(disk: SeenDisk, likely: Consistency) -> Iterator[Finding]:
    subject = f"disk {disk.name}"
    if disk.url is None and not disk.ephemeral:
        yield problem(
            "DiskUnmanaged", subject, "it is no managed disk", "az vm convert --ids MACHINE"
        )
    if disk.ephemeral:
        seen = "it lies on the host alone and is lost with it: no restore point can hold it"
        yield problem("DiskEphemeral", subject, seen, _leave_out(disk))
    if disk.shared_by > 1:
        seen = f"{disk.shared_by} machines may share it: no restore point can hold it"
        yield problem("DiskShared", subject, seen, _leave_out(disk))
    yield from _by_crash(disk, subject, likely)
    yield from _to_read(disk, subject)


def _by_crash(disk: SeenDisk, subject: str, likely: Consistency) -> Iterator[Finding]:
    if disk.sku.casefold() in NOT_BY_CRASH:
        why = f"it is of kind {disk.sku}"
    elif disk.write_accelerated:
        why = "its writes are accelerated"
    else:
        return
    seen = f"{why}: crash-consistent restore points cannot hold it"
    if likely is Consistency.CRASH:
        fix = f"Keep the machine running, its agent ready; or leave it out: {_leave_out(disk)}"
        yield problem("DiskNotByCrash", subject, f"{seen}, and the next one is one", fix)
        return
    fix = f"Keep the machine running and its agent ready. Otherwise: {_leave_out(disk)}"
    yield warning("DiskNotByCrash", subject, seen, fix)


def _to_read(disk: SeenDisk, subject: str) -> Iterator[Finding]:
    if disk.exports == "DenyAll":
        seen = "its network access policy lets nobody read its restore points"
        fix = f"az disk update --ids {disk.url} --network-access-policy AllowAll"
        yield problem("DiskNotExported", subject, seen, fix)
    elif disk.exports == "AllowPrivate":
        seen = "its restore points are read through a private endpoint only"
        fix = "See that the functions and the vault's storage reach that endpoint."
        yield warning("DiskExportedPrivately", subject, seen, fix)
    if disk.entra_only:
        seen = "whoever reads it has to sign in, a SAS is not enough"
        fix = "Give the app's identity the role Data Operator for Managed Disks."
        yield warning("DiskNeedsSignIn", subject, seen, fix)


def _of_all(disks: Sequence[SeenDisk]) -> Iterator[Finding]:
    """Limits of Azure's vaults; storage vaults have none that Azure's disks could reach."""
    data = [disk for disk in disks if disk.lun != OS_LUN]
    too_large = [disk.name for disk in disks if disk.size_bytes > VAULT_DISK_BYTES]
    total = sum(disk.size_bytes for disk in disks)
    if len(data) <= VAULT_DISKS and not too_large and total <= VAULT_BYTES:
        return
    large = f", too large: {', '.join(too_large)}" if too_large else ""
    yield warning(
        "DisksBeyondVault",
        "disks",
        f"{len(data)} data disks, {total / TEBIBYTE:.1f} TiB in all{large}: more than Azure's own "
        f"vaults take ({VAULT_DISKS} data disks, 32 TiB each, 256 TiB in all)",
        "Use a storage vault, or leave disks out.",
    )


def _leave_out(disk: SeenDisk) -> str:
    lun = "os" if disk.lun == OS_LUN else disk.lun
    return f"vaultline protect … --without {lun}"
