"""Raw results: what was measured, by which command, on which machine."""

import json
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.storage.azurite import VERSION


def keep(path: Path, arguments: Sequence[str], samples: Sequence[Any]) -> Path:
    """Writes the samples, which are dataclasses, in the place of the last run's."""
    told = {
        "command": shlex.join(["python", "-m", "bench", *arguments]),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
            "storage": f"Azurite {VERSION}",
        },
        "samples": [asdict(sample) for sample in samples],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n")
    return path
