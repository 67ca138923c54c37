"""Probes: what the operations below the model cost, measured beside it once a block.

A hypervisor adds to launches, copies, interrupts, page faults and scheduling (DESIGN.md section 4).
Each probe times one of these alone, so that a report can say which of them got dearer.
"""

from benchmark.probes.model import COPIES, SIBLINGS, STEAL, Copy, ProbeResult

__all__ = ["COPIES", "SIBLINGS", "STEAL", "Copy", "ProbeResult"]
