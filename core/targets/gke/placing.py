"""Where the run's machines are offered and allowed, before any is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from core.gcp.compute import accelerators, global_quotas, machine_zones, quotas, zones
from core.gcp.errors import GoogleError
from core.gcp.offers import not_offered
from core.gcp.quotas import Quota, QuotaNeed, added, lacking, quota_needs
from core.money.table import region_of
from core.run.events import StageChecked
from core.settings import Settings
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.pricing import PriceBook, listed_zones

_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Offers:
    """What the zones of the project offer to the run."""

    up: frozenset[str]
    """Zones that are there and up."""
    known: frozenset[str]
    machine: frozenset[str]
    """Zones with the machine type."""
    gpus: Mapping[str, Mapping[str, int]]
    """By zone: the GPUs, with the most of each that a machine can have."""

    def objection(self, zone: str, settings: Settings) -> tuple[str, str] | None:
        """Return why a zone cannot have the run's GPU nodes, and what could; None: it can."""
        if zone not in self.known:
            return f"there is no zone {zone}", self._others(zone, settings)
        if zone not in self.up:
            return f"Google says that {zone} is down", self._others(zone, settings)
        if found := not_offered(zone, settings.gpu, settings.gpus, self.gpus):
            return found.sentence.rstrip("."), found.remedy
        if zone not in self.machine:
            return f"{zone} does not offer {settings.machine}", self._others(zone, settings)
        return None

    def suits(self, zone: str, settings: Settings) -> bool:
        """Return whether a zone can have the run's GPU nodes."""
        return self.objection(zone, settings) is None

    def _others(self, zone: str, settings: Settings) -> str:
        fitting = [
            other
            for other in sorted(self.machine & self.up)
            if other != zone and not_offered(other, settings.gpu, settings.gpus, self.gpus) is None
        ]
        fitting.sort(key=lambda other: region_of(other) != region_of(zone))
        if not fitting:
            return "Take another machine type or GPU: no zone offers both to the project."
        return f"Take another zone, such as {' or '.join(fitting[:3])}."


async def check_places(deployment: GkeDeployment) -> list[StageChecked]:
    """Look where machine and GPU are offered, and have the deployment know the zones within its
    bounds that do, in the order in which they are tried.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    settings = deployment.settings
    google = deployment.google()
    listed, offering, gpus = await asyncio.gather(
        zones(google), machine_zones(google, settings.machine), accelerators(google)
    )
    offers = Offers(
        frozenset(zone.name for zone in listed if zone.is_up),
        frozenset(zone.name for zone in listed),
        frozenset(offering),
        gpus,
    )
    bounds = _bounds(settings, [zone.name for zone in listed])
    fitting = [zone for zone in bounds if offers.suits(zone, settings)]
    deployment.zones = tuple(fitting)
    what = f"{settings.machine} with {settings.gpus} x {settings.gpu}"
    if objection := offers.objection(settings.zone, settings):
        sentence, remedy = objection
        checks = [StageChecked(name="zone", passed=False, detail=sentence, remedy=remedy)]
    else:
        others = [zone for zone in fitting if zone != settings.zone]
        checks = [
            StageChecked(
                name="zone",
                passed=True,
                detail=f"{what} in {settings.zone}{_also(others)}",
            )
        ]
    for zone in listed_zones(settings):
        if (objection := offers.objection(zone, settings)) and zone != settings.zone:
            checks.append(
                StageChecked(
                    name="other zone",
                    passed=False,
                    detail=f"{objection[0]}: it is not tried",
                    remedy=objection[1],
                    required=False,
                )
            )
    return checks


async def check_quotas(
    deployment: GkeDeployment, book: PriceBook, *, fresh: bool
) -> list[StageChecked]:
    """Look at the quotas that the run's nodes take, and leave out regions that do not suffice.

    Args:
        fresh: nothing of the run is there yet; else its own nodes are among what is in use.

    Raises:
        CredentialsError, GoogleError: see core.gcp.errors.
    """
    needs = await _needs(deployment, book)
    home = region_of(deployment.settings.zone)
    regions = list(dict.fromkeys([home, *(region_of(zone) for zone in deployment.zones)]))
    google = deployment.google()
    found, by_region = await asyncio.gather(
        global_quotas(google),
        asyncio.gather(*(_quotas(deployment, region) for region in regions)),
    )
    allowed = dict(zip(regions, by_region, strict=True))
    own = allowed[home]
    if isinstance(own, GoogleError):
        raise own
    short = {region for region, listed in allowed.items() if _is_short(needs, listed, region)}
    elsewhere = [region for region in regions if region not in short]
    checks = [_check(need, own, home) for need in needs if not need.is_global]
    checks += [_check(need, found, home) for need in needs if need.is_global]
    if not fresh:
        return [check.model_copy(update={"required": False}) for check in checks]
    if home in short and elsewhere:
        checks = [
            check
            if check.passed or "over all regions" in check.detail
            else check.model_copy(update={"required": False})
            for check in checks
        ]
    return [*checks, *_leave_out(deployment, short, elsewhere)]


def _is_short(
    needs: tuple[QuotaNeed, ...], listed: dict[str, Quota] | GoogleError, region: str
) -> bool:
    if isinstance(listed, GoogleError):
        return True
    return any(lacking(need, listed, region) for need in needs if not need.is_global)


def _leave_out(
    deployment: GkeDeployment, short: set[str], elsewhere: list[str]
) -> list[StageChecked]:
    if not elsewhere:
        return []
    left = [zone for zone in deployment.zones if region_of(zone) in elsewhere]
    deployment.zones = tuple(left)
    if region_of(deployment.location) in short and left:
        deployment.use(left[0], left[0])
    return [
        StageChecked(
            name="other region" if region != region_of(deployment.settings.zone) else "region",
            passed=False,
            detail=f"the quotas of {region} do not suffice: it is not tried, {left[0]} comes first",
            required=False,
        )
        for region in sorted(short)
    ]


async def _quotas(deployment: GkeDeployment, region: str) -> dict[str, Quota] | GoogleError:
    try:
        return await quotas(deployment.google(), region)
    except GoogleError as problem:
        return problem


async def _needs(deployment: GkeDeployment, book: PriceBook) -> tuple[QuotaNeed, ...]:
    """Return what one GPU node and the cluster's own node take together."""
    needs: list[QuotaNeed] = []
    gpus, system = deployment.pool_spec(), deployment.cluster_spec().pool
    pools = (gpus, system) if deployment.owns_cluster else (gpus,)
    for pool in pools:
        shape = await book.shape(pool.machine, deployment.settings.zone)
        needs += quota_needs(
            pool.machine,
            round(shape.vcpus) if shape else 0,
            pool.gpu,
            pool.gpus,
            spot=pool.spot,
            disk_type=pool.disk_type,
            disk_gb=pool.disk_gb,
        )
    return added((*needs, QuotaNeed("IN_USE_ADDRESSES", float(len(pools)))))


def _check(need: QuotaNeed, listed: Mapping[str, Quota], region: str) -> StageChecked:
    name = f"quota {need.metric}"
    if objection := lacking(need, listed, region):
        return StageChecked(
            name=name,
            passed=False,
            detail=objection.sentence.rstrip("."),
            remedy=objection.remedy,
        )
    quota = listed.get(need.metric)
    if quota is None or (need.otherwise and quota.limit == 0):
        quota = listed.get(need.otherwise)
    where = "over all regions" if need.is_global else f"in {region}"
    detail = (
        f"{need.amount:g} needed; Google lists no such quota {where}"
        if quota is None
        else f"{need.amount:g} needed, {quota.usage:g} of {quota.limit:g} in use {where}"
    )
    return StageChecked(name=name, passed=True, detail=detail)


def _bounds(settings: Settings, every: list[str]) -> list[str]:
    """Return the zones that the settings allow, in the order in which they are tried."""
    home = region_of(settings.zone)
    allowed = [settings.zone, *listed_zones(settings)]
    if (settings.zones or "region") == "region":
        allowed += sorted(zone for zone in every if region_of(zone) == home)
    for region in filter(None, map(str.strip, (settings.regions or "").split(","))):
        allowed += sorted(zone for zone in every if region_of(zone) == region)
    return list(dict.fromkeys(allowed))


def _also(others: list[str]) -> str:
    if not others:
        return "; no other zone may be tried"
    shown = ", ".join(others[:_MOST_SHOWN])
    more = f" and {len(others) - _MOST_SHOWN} more" if len(others) > _MOST_SHOWN else ""
    return f"; if there is none, in {shown}{more}"
