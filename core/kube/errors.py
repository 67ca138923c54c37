"""What can go wrong with a cluster, one class per kind that a caller treats differently.

ProblemError (benchmark.errors)
├── InputError
│   └── KubeconfigError         the kubeconfig cannot be read, or has no such context
└── WorkError
    └── ClusterError            the API server refused, or did something else than was asked
        ├── UnreachableError    no answer within the patience; also only 5xx and 429
        ├── DeniedError         401 or 403: who we are, or what we may
        ├── NotFoundError       404
        ├── ConflictError       409: it exists already, or was changed by somebody else
        └── ExpiredError        410: a watch must list again
"""

from __future__ import annotations

from benchmark.errors import InputError, WorkError


class KubeconfigError(InputError):
    """The kubeconfig cannot be read, or does not have what was asked for."""


class ClusterError(WorkError):
    """The API server refused a request."""


class UnreachableError(ClusterError):
    """The API server gave no usable answer within the patience."""


class DeniedError(ClusterError):
    """The credentials are not accepted, or do not suffice."""

    def __init__(self, sentence: str, remedy: str = "", status: int = 403) -> None:
        super().__init__(sentence, remedy)
        self.status = status
        """401: not accepted; 403: not sufficient."""


class NotFoundError(ClusterError):
    """It is not there."""


class ConflictError(ClusterError):
    """It exists already, or it is not what it was when it was read."""


class ExpiredError(ClusterError):
    """The place from which a watch was to go on is too old: list again."""
