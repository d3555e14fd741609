"""The service key, where SERVICE_API_KEY refers to a secret elsewhere: it follows that secret as it changes."""

from __future__ import annotations

from core.access import AccessRules, service_keys
from core.errors import NotConfigured
from core.ports import Clock, Log, Secrets

# A secret that cannot be read is asked for again after so long; the key that is known goes on.
RETRY_SECONDS = 30.0


class ServiceKey:
    """Sets the keys of `rules` to what `reference` stands for. `secrets` caches, and renews beside what is asked."""

    def __init__(self, reference: str, secrets: Secrets, rules: AccessRules, clock: Clock, log: Log) -> None:
        self._reference = reference
        self._secrets = secrets
        self._rules = rules
        self._clock = clock
        self._log = log
        self._ask_at = 0.0

    async def flush(self) -> None:
        """Run after answers. Raises nothing."""
        now = self._clock.time()
        if now < self._ask_at:
            return
        try:
            keys = service_keys(await self._secrets.resolve(self._reference))
        except NotConfigured as fault:
            self._ask_at = now + RETRY_SECONDS
            self._log.event("warning", "service_key_not_renewed", error=fault.message)
            return
        if keys:  # an empty secret is a mistake, and would open the gateway
            self._rules.keys = keys
