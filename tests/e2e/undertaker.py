"""`python -m tests.e2e.undertaker FOLDER`: ends the stack in that folder when standard input ends.

Tests hold the other end, so no process outlives them, not even where they are killed.
"""

import sys
from pathlib import Path

from local import stack

if __name__ == "__main__":
    sys.stdin.buffer.read()
    stack.down(stack.stack_config(Path(sys.argv[1])))
