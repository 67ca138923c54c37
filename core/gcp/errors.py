"""What can go wrong with Google Cloud, one class per kind that a caller treats differently.

ProblemError (benchmark.errors)
├── InputError
│   └── CredentialsError          there are none, or Google does not take them
└── WorkError
    └── GoogleError               Google refused, or did something else than was asked
        ├── UnavailableError      no usable answer within the patience
        ├── DeniedError           a permission is missing
        ├── ApiDisabledError      the project has not enabled the API
        ├── BillingDisabledError  the project has no open billing account
        ├── NoProjectError        there is no such project, or the account may not see it
        ├── NotFoundError         it is not there
        ├── ExistsError           it exists already
        ├── BusyError             another operation is at work on it: wait, then ask again
        ├── InvalidError          the request cannot be, whoever asks
        ├── StockoutError         no hardware there now: another zone
        ├── QuotaError            the project may not have so many: another region, or nowhere
        └── OperationError        an operation ended with an error of no kind above
"""

from __future__ import annotations

from benchmark.errors import InputError, WorkError


class CredentialsError(InputError):
    """There are no credentials, or Google does not take them."""


class GoogleError(WorkError):
    """Google refused a request or failed an operation."""


class UnavailableError(GoogleError):
    """Google gave no usable answer within the patience."""


class DeniedError(GoogleError):
    """The account may not do this."""


class ApiDisabledError(GoogleError):
    """The project has not enabled the API."""


class BillingDisabledError(GoogleError):
    """The project has no open billing account."""


class NoProjectError(GoogleError):
    """There is no such project, or the account may not see it: nothing about what is in it."""


class NotFoundError(GoogleError):
    """It is not there."""


class ExistsError(GoogleError):
    """It exists already."""


class BusyError(GoogleError):
    """Another operation is at work on it."""


class InvalidError(GoogleError):
    """The request cannot be, whoever asks."""


class StockoutError(GoogleError):
    """No hardware of that kind there now."""

    def __init__(self, sentence: str, remedy: str = "", zones: tuple[str, ...] = ()) -> None:
        super().__init__(sentence, remedy)
        self.zones = zones
        """Zones that the refusal itself names as having some, in its order."""


class QuotaError(GoogleError):
    """The project may not have so many."""

    def __init__(
        self, sentence: str, remedy: str = "", *, metric: str = "", is_global: bool = False
    ) -> None:
        super().__init__(sentence, remedy)
        self.metric = metric
        """``NVIDIA_T4_GPUS``, ``CPUS``, ``GPUS_ALL_REGIONS`` ..."""
        self.is_global = is_global
        """No other region helps."""


class OperationError(GoogleError):
    """An operation ended with an error that is of no other kind."""
