"""`python -m shared.contracts [FOLDER]` writes the published schemas (default: docs/schemas)."""

import sys
from pathlib import Path

from shared.contracts.schemas import write_schemas

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/schemas")
    for path in write_schemas(folder):
        print(path)
