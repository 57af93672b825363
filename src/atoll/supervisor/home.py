"""Where the state of one system is on this machine."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Where the state of one system is.

    state: its folder, such as `.atoll/shop`.
    system: for root alone: where data goes that an unprivileged user must reach, if `state` lies below a folder
    that is closed to it, such as /root. No folder of anybody's is opened.
    """

    state: Path
    system: Path = Path("/var/lib/atoll")

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def telemetry(self) -> Path:
        """The collector's store."""
        return self.state / "telemetry"

    @property
    def dashboard_token(self) -> Path:
        """Of who may look at the dashboard, where it is asked for."""
        return self.secrets / "dashboard"

    @property
    def logs(self) -> Path:
        return self.state / "logs"
