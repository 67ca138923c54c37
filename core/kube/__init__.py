"""The hand for Kubernetes: one cluster, through the official client's asyncio half.

It knows no run, no stage and no event.
"""
