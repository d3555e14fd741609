"""Reads usage records of a store, page by page, into a report: for `GET /api/v1/usage` and `skybridge usage`."""

from __future__ import annotations

from typing import Final

from core.bill import day_of, folder_of
from core.ports import Store
from core.slotted import slotted
from core.usage_report import Report, UsageQuery

DAY: Final = 86_400.0
PAGE: Final = 1000
# An answer over HTTP adds up so many records, the newest days first; the command line has all the time it wants.
MOST_RECORDS: Final = 250_000


@slotted
class UsageReading:
    """A report and how much it stands on: `complete` is False where older records were left out."""

    report: Report
    records: int = 0
    complete: bool = True


async def read_usage(
    store: Store, query: UsageQuery, now: float, *, only: str | None = None, most: int | None = None
) -> UsageReading:
    """Adds up at most `most` records of the days that are asked for, today's first; those of the caller `only`, or
    everybody's. Raises StoreFault, and ClientFault for too many groups."""
    reading = UsageReading(Report(query, only))
    for back in range(query.days):
        folder, after = folder_of(day_of(now - DAY * back)), ""
        while page := dict(await store.read_page(folder, after, PAGE)):
            for row in page.values():
                reading.report.add(row)
            after = next(reversed(page))
            reading.records += len(page)
            if most is not None and reading.records >= most:
                reading.complete = False
                return reading
    return reading
