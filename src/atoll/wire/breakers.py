"""What a page of figures says of the circuit breakers of its process."""

import re
from collections.abc import Mapping

# atoll_client_breaker{destination="payment"} 2
_LINE = re.compile(r'^atoll_client_breaker\{destination="([^"]*)"\} ([12])$', re.MULTILINE)
_STATES: Mapping[str, str] = {"1": "half-open", "2": "open"}


def breakers(page: str) -> dict[str, str]:
    """ "open" or "half-open" by destination, of those that are not closed."""
    return {destination: _STATES[number] for destination, number in _LINE.findall(page)}
