"""Runs the installed `tenure` command as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("tenure")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout; fails when there is anything else."""
        return json.loads(self.out)


def run_tenure(
    *args: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None, timeout: float = 300
) -> Ran:
    """Run `tenure` with *args*; *environment* is added to this process's."""
    done = subprocess.run(
        [str(COMMAND), *args],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
