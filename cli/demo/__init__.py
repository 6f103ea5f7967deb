"""`vaultline demo`: the whole story on a real disk image, with proof."""

from cli.demo.command import demo_command

__all__ = ["demo_command"]
