"""Which place is asked next for GPUs, within the bounds that the settings give."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.gcp.errors import QuotaError, StockoutError
from core.money.table import region_of
from core.targets.gke.deployment import GkeDeployment


@dataclass
class Places:
    """The zones that are not tried yet, in the order in which they would be."""

    current: str
    waiting: list[str]
    hopeless: set[str] = field(default_factory=set)
    """Regions whose quota does not suffice."""

    @classmethod
    def of(cls, deployment: GkeDeployment) -> Places:
        """Begin at the deployment's place; the others are those that preflight found."""
        current = deployment.gpu_zone
        return cls(current, [zone for zone in deployment.zones if zone != current])

    def after(self, problem: StockoutError | QuotaError) -> str | None:
        """Return the place to try after this failure of the current one; None: there is none.

        After a stockout first the zones that the refusal names, after a quota no zone of the same
        region.
        """
        if isinstance(problem, QuotaError):
            self.hopeless.add(region_of(self.current))
        else:
            named = [zone for zone in problem.zones if zone in self.waiting]
            rest = [zone for zone in self.waiting if zone not in named]
            self.waiting = [*self._near_first(named), *self._near_first(rest)]
        self.waiting = [zone for zone in self.waiting if region_of(zone) not in self.hopeless]
        if not self.waiting:
            return None
        self.current = self.waiting.pop(0)
        return self.current

    def _near_first(self, zones: list[str]) -> list[str]:
        # Where the cluster is, only a pool has to be made.
        return sorted(zones, key=lambda zone: region_of(zone) != region_of(self.current))
