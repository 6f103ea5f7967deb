"""`vm list` and `vm check`: virtual machines, before and beside their backups."""

from typing import Annotated, Any

import typer

from cli.columns import FINDINGS, MACHINES
from cli.extensions import extension
from cli.failures import DONE, FAILED
from cli.output import AsJson, say, show_json, show_list
from cli.session import Session, run
from shared.contracts.fields import index_tag
from shared.model.arm_ids import compute_scope
from shared.model.inventory import Scope
from shared.model.vm_check import Finding, Report, State
from shared.steps.side_by_side import side_by_side
from shared.steps.vm_check import check_vm

vms = typer.Typer(no_args_is_help=True, help="Virtual machines: what their backups need.")
vms.add_typer(extension, name="extension")


@vms.command("list")
def list_(
    context: typer.Context,
    scope: Annotated[
        str, typer.Argument(metavar="SCOPE", help="A subscription's or resource group's id.")
    ],
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Only machines with this tag."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the machines there, protected or not, with the size of all their disks."""
    within = Scope(url=str(compute_scope(scope)), tag=index_tag(tag) if tag else None)

    async def ask(session: Session) -> None:
        found = [each async for page in session.ports.machines.search(within) for each in page]
        found.sort(key=lambda machine: machine.url)
        known = await side_by_side(found, lambda each: session.ports.inventory.disk(each.url))
        views = [
            {
                "id": machine.url,
                "size_bytes": machine.size_bytes,
                "item_id": owner.item if owner else None,
            }
            for machine, owner in zip(found, known, strict=True)
        ]
        show_list(views, MACHINES, as_json=as_json, empty="There is no machine.")

    run(context, ask)


@vms.command("check")
def check(
    context: typer.Context,
    vm: Annotated[str, typer.Argument(metavar="VM", help="The machine's resource id.")],
    as_json: AsJson = False,
) -> int:
    """Say what stands between a machine and its backups, protected or not, and how to fix it."""

    async def ask(session: Session) -> int:
        report = await check_vm(session.ports, vm)
        _show(report, as_json=as_json)
        return FAILED if report.state is State.PROBLEM else DONE

    return run(context, ask)


def _show(report: Report, *, as_json: bool) -> None:
    views = [_finding_view(finding) for finding in report.findings]
    if as_json:
        show_json({"machine": report.machine, "state": report.state.value, "findings": views})
        return
    show_list(views, FINDINGS, as_json=False, empty="")
    for finding in report.findings:
        if finding.fix:
            say(f"\n{finding.subject}: {finding.seen}.\n  {finding.fix}")


def _finding_view(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "subject": finding.subject,
        "state": finding.state.value,
        "seen": finding.seen,
        "fix": finding.fix or None,
    }
