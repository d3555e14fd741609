"""Reads usage records of a store, page by page, into a report: for `GET /api/v1/usage` and `skybridge usage`."""

from __future__ import annotations

from typing import Final

from core.bill import RETENTION_DAYS, day_of, folder_of
from core.ports import Store
from core.slotted import slotted
from core.usage_report import Report

DAY: Final = 86_400.0
# A page is added up in one go: other requests wait for it no longer than some milliseconds.
PAGE: Final = 250
# An answer over HTTP adds up so many records, the newest days first; the command line has all the time it wants.
MOST_RECORDS: Final = 250_000


@slotted
class UsageReading:
    """A report and how much it stands on: `complete` is False where older records were left out."""

    report: Report
    records: int = 0
    complete: bool = True


async def read_usage(
    store: Store, report: Report, now: float, *, most: int | None = None, page: int = PAGE
) -> UsageReading:
    """Adds up at most `most` records of the days that are asked for, today's first; `page` at a time. Raises
    StoreFault, and ClientFault for too many groups."""
    reading = UsageReading(report)
    for back in range(min(report.days, RETENTION_DAYS + 1)):  # nothing is kept for longer
        folder, after = folder_of(day_of(now - DAY * back)), ""
        while rows := dict(await store.read_page(folder, after, page)):
            for row in rows.values():
                report.add(row)
            after = next(reversed(rows))
            reading.records += len(rows)
            if most is not None and reading.records >= most:
                reading.complete = False
                return reading
    return reading
