"""What one request to Anthropic used beside its answer: summaries of its context, and advice of another model.

Neither is in the top-level counts of `usage`; both are in its `iterations`, and on the bill.
https://platform.claude.com/docs/en/build-with-claude/compaction
https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool
"""

from __future__ import annotations

from core.formats.messages.usage import read_usage
from core.usage import UsageRecord, Wasted


def beside(record: UsageRecord) -> list[Wasted]:
    """The tokens of such iterations, each with the model that they are priced by."""
    iterations = record.usage.raw["iterations"]
    found: list[Wasted] = []
    for entry in iterations if isinstance(iterations, list) else []:
        kind = entry.get("type") if isinstance(entry, dict) else None
        if kind not in ("compaction", "advisor_message"):
            continue
        usage, model = read_usage(entry), entry.get("model")
        if kind == "compaction":
            usage.tier, model = record.usage.tier, record.api_model
        if usage.total_tokens:
            found.append(Wasted(record.backend, str(model), usage))
    return found
