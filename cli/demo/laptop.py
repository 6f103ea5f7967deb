"""A laptop stack of the demo's own, and its end whatever happens."""

import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from types import FrameType

from cli.output import terminal
from cli.session import Session, blob_endpoint
from local import stack
from local.components import StackConfig
from shared.config import read_settings
from shared.model.errors import AlreadyExists

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def own_folder(asked: Path | None, *, keep: bool) -> Iterator[Path]:
    """An empty folder: the one asked for, which stays, or a temporary one. Raises `AlreadyExists`
    where the one asked for holds something."""
    if asked is not None:
        if asked.exists() and (asked.is_file() or any(asked.iterdir())):
            raise AlreadyExists(f"{asked} is no empty folder", action="Name a new one.")
        asked.mkdir(parents=True, exist_ok=True)
        yield asked.absolute()
        return
    folder = Path(mkdtemp(prefix="vaultline-demo-"))
    try:
        yield folder
    finally:
        if keep:
            again = f"`vaultline local up --data-dir {folder}` starts its stack again"
            terminal(errors=True).print(f"Kept {folder}; {again}.", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def own_stack(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[StackConfig]:
    """A stack in the folder, to be started inside; stopped on the way out, which no second signal
    cuts short. A signal to end comes as `KeyboardInterrupt`."""
    config = stack.stack_config(folder, settings=settings)
    before = {each: signal.signal(each, signal.default_int_handler) for each in ENDING}
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    try:
        yield config
    finally:
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        stack.down(config)
        for each, handler in before.items():
            signal.signal(each, handler)


@asynccontextmanager
async def session_over(config: StackConfig) -> AsyncIterator[Session]:
    """A session with the stack, whatever the environment says."""
    from shared.wiring import Wiring  # the SDKs take a second to import

    settings = read_settings(stack.settings(config))
    async with Wiring(settings) as wiring:
        yield Session(
            ports=wiring.ports(),
            endpoints={name: blob_endpoint(text) for name, text in settings.accounts.items()},
            spans=config.data_dir / "telemetry",
        )


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    # The event loop ends its work in order on this one.
    signal.raise_signal(signal.SIGINT)
