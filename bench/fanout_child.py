"""The `tenure` command on a store that is slow to answer: every batch of rows waits BENCH_LATENCY seconds more.

What a run gains from more workers where it is the store or the network that it waits for cannot be seen on one machine
otherwise: there everything waits for the processor.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Claim, RangeSpec, Step
from tenure.runner.context import Context

PAGES = 8


def main() -> None:
    """Run the command line of this process."""
    latency = float(os.environ["BENCH_LATENCY"])
    ranges, run_batch = BackfillRows.ranges, BackfillRows.run_batch

    def cut(self: BackfillRows, ctx: Context) -> Iterator[RangeSpec]:
        for spec in ranges(self, ctx):
            end = int(spec.bounds["to"])
            for page in range(int(spec.bounds["from"]), end, PAGES):
                yield RangeSpec(bounds={**spec.bounds, "from": page, "to": min(page + PAGES, end)})

    def batch(self: BackfillRows, ctx: Context, claim: Claim) -> Step:
        time.sleep(latency)
        return run_batch(self, ctx, claim)

    setattr(BackfillRows, "ranges", cut)  # noqa: B010
    setattr(BackfillRows, "run_batch", batch)  # noqa: B010
    from tenure.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
