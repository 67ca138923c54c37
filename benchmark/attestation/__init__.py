"""Which hypervisor a measurement really ran under, and the evidence for saying so.

`collect` gathers the evidence beside the GPU, unprivileged; `classify` is pure and turns evidence
into an `Attestation`. An attestation carries all it rests on, so that anybody can classify the
stored evidence again and must come to the same answer.
"""

from benchmark.attestation.classification import classify
from benchmark.attestation.collection import collect
from benchmark.attestation.model import Attestation, Evidence, Hypervisor

__all__ = ["Attestation", "Evidence", "Hypervisor", "classify", "collect"]
