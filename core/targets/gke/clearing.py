"""Removes what one attempt created before the next one begins."""

from __future__ import annotations

from collections.abc import Collection

from core.errors import StageError
from core.run.events import ResourceDeleted
from core.run.pipeline import StageContext
from core.targets.gke.deployment import GkeDeployment
from core.targets.gke.hands import hands_of


async def clear(context: StageContext, deployment: GkeDeployment, kinds: Collection[str]) -> None:
    """Delete the run's resources of these kinds, the newest first, each with its proof.

    Raises:
        StageError: one is still there.
        ProblemError: Google or the cluster could not be asked.
    """
    hands = hands_of(deployment)
    there = [
        resource
        for resource in context.resources().values()
        if resource.exists and resource.intended.kind in kinds
    ]
    for resource in reversed(there):
        intended = resource.intended
        hand = hands[intended.kind]
        await hand.delete(resource)
        proof = await hand.gone(resource)
        if proof is None:
            raise StageError(
                f"{intended.kind} {intended.name} in {intended.location} is still there, and no "
                "other place is tried before it is gone.",
                intended.delete_command,
            )
        context.emit(ResourceDeleted(kind=intended.kind, name=intended.name, proof=proof))
