"""What the parts of a backup have in common while they work: the directory, the progress, the request to stop."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tenure.errors import BackupInterruptedError
from tenure.runner.context import Reporter, SilentReporter, StopSignal


@dataclass(frozen=True)
class Work:
    """Where files go, who is told of progress, and who may ask to stop."""

    directory: Path
    reporter: Reporter = field(default_factory=SilentReporter)
    signal: StopSignal = field(default_factory=StopSignal)
    stopped: str = ""
    """What a person does after a stop."""

    def check(self) -> None:
        """Errors: BackupInterruptedError when somebody asked to stop."""
        if self.signal.is_set():
            raise BackupInterruptedError(remedy=self.stopped)


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
