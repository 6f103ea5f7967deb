"""`vaultline`: what people type.

Exit status 0 done, 1 the work failed, 2 the request was wrong. Answers go to standard output;
errors go to standard error in words, or with `--json` to standard output as an object.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
from typer.core import TyperGroup

from cli import disks, expiry, holds, jobs, listings, protect, protection, restores, showing
from cli.dead_letters import letters
from cli.explain import explain
from cli.failures import DONE, failure_of, tell
from cli.groups import groups
from cli.policies import policies
from cli.stack import local
from cli.vaults import vaults
from cli.vms import vms


class _Group(TyperGroup):
    """Every error that we know ends here, whoever raised it, as words and an exit status."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command and exits; unless `standalone_mode`, returns or raises instead."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(
                given, prog_name, complete_var, False, windows_expand_args, **extra
            )
        except Exception as error:
            failure = failure_of(error)
            if failure is None or not standalone_mode:
                raise
            tell(failure, as_json="--json" in given)
            status = failure.status
        return sys.exit(status or DONE) if standalone_mode else status


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Vaultline: event-driven backup of Azure disks.",
)
app.add_typer(local, name="local")
app.add_typer(vaults, name="vault")
app.add_typer(policies, name="policy")
app.add_typer(groups, name="group")
app.add_typer(vms, name="vm")
app.add_typer(letters, name="dead-letters")
for command in (
    disks.discover,
    disks.disks,
    protect.protect,
    protection.stop,
    protection.undelete,
    protection.backup,
    protection.check,
    listings.items,
    jobs.jobs,
    jobs.cancel,
    listings.points,
    showing.show,
    restores.restore,
    expiry.expire,
    holds.hold,
    holds.release,
    explain,
):
    app.command()(command)

if find_spec("cli.demo"):
    app.command("demo")(import_module("cli.demo").demo_command)


def main() -> None:
    """The console script."""
    app()
