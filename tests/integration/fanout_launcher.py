"""Starts the `tenure` command with a backfill that is cut small and takes its time, so that there is something to see.

TEST_SMALL cuts ranges to ten pages and spends so many seconds more on each batch, TEST_BROKEN_RANGE breaks a range of
table `lines`, TEST_LEASE_SECONDS shortens the lease. Nothing else is different from the installed command.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from tenure.errors import StoreError
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Claim, RangeSpec, Step
from tenure.runner import lease
from tenure.runner.context import Context

PAGES = 10


def main() -> None:
    """Run the command line of this process."""
    small, broken = float(os.environ.get("TEST_SMALL", "0")), int(os.environ.get("TEST_BROKEN_RANGE", "-1"))
    ranges, run_batch = BackfillRows.ranges, BackfillRows.run_batch

    def cut(self: BackfillRows, ctx: Context) -> Iterator[RangeSpec]:
        for spec in ranges(self, ctx):
            first, end = int(spec.bounds["from"]), int(spec.bounds["to"])
            for page in range(first, end, PAGES if small else end):
                bounds = {**spec.bounds, "from": page, "to": min(page + PAGES, end) if small else end}
                yield RangeSpec(bounds=bounds)

    def batch(self: BackfillRows, ctx: Context, claim: Claim) -> Step:
        if claim.number == broken and self.object == "lines":
            raise StoreError(store="postgres", problem="it broke here.", remedy="")
        if small:
            time.sleep(small)  # stretches the work, and waits for nothing
        return run_batch(self, ctx, claim)

    setattr(BackfillRows, "ranges", cut)  # noqa: B010
    setattr(BackfillRows, "run_batch", batch)  # noqa: B010
    lease.LEASE_SECONDS = float(os.environ.get("TEST_LEASE_SECONDS", lease.LEASE_SECONDS))
    from tenure.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
