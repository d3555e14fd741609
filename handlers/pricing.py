"""What the answers of this gateway's backends cost."""

from __future__ import annotations

from core.configuration import Configuration, ConfigurationError
from core.models.prices import PriceList, cost_of, read_prices, worst_case
from core.routing.registry import Candidate
from core.usage import Cost, Usage, UsageRecord


class Pricing:
    """Prices of the models that a configuration's backends serve."""

    def __init__(self, configuration: Configuration, prices: PriceList) -> None:
        self._backends = configuration.registry.backends
        self._prices = prices

    def record(self, record: UsageRecord) -> Cost | None:
        """What an answer costs; None where no price is known."""
        return self.of(record.backend, record.api_model, record.usage, record.usage.tier or record.tier)

    def of(self, backend: str, api_model: str, usage: Usage, tier: str) -> Cost | None:
        """The same, of any usage."""
        known = self._backends.get(backend)
        price = known and self._prices.find(backend, known.provider.name, api_model, known.region)
        return cost_of(usage, price, tier) if price else None

    def worst(self, candidate: Candidate, tokens: tuple[int, int], tier: str) -> int | None:
        """The most that so many tokens (in, out) cost at `candidate`, in picodollars: at the tier that is asked for, at
        the one that the operator has set, or at the standard one, where no other has room."""
        backend = candidate.backend
        tier = tier or str(candidate.defaults.get("speed") or candidate.defaults.get("service_tier") or "")
        price = self._prices.find(backend.name, backend.provider.name, candidate.api_model, backend.region)
        if price is None:
            return None
        most = worst_case(price, tokens[0], tokens[1], tier)
        forced = backend.options.get("bedrock_service_tier")
        return most if not forced else max(most, worst_case(price, tokens[0], tokens[1], str(forced)))


def read_pricing(configuration: Configuration) -> Pricing:
    """The price list with the configuration's rows before it. Raises ConfigurationError."""
    try:
        return Pricing(configuration, PriceList(read_prices(configuration.prices)))
    except ValueError as error:
        key, _, message = str(error).partition(": ")
        raise ConfigurationError(key, message) from error
