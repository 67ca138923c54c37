"""Which project, as whom, and where Google's services are found."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmark.errors import InputError
from core.text import harmless

# gcloud's property names in the environment: CLOUDSDK_ and section and property, upper case
# (https://cloud.google.com/sdk/docs/properties).
_VARIABLE = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
_SERVICES = (
    "artifactregistry",
    "cloudbilling",
    "cloudbuild",
    "cloudresourcemanager",
    "compute",
    "container",
    "iam",
    "iamcredentials",
    "serviceusage",
    "storage",
)
# gcloud's overrides of these end in the path that a request's own path begins with here.
_OWN_PATHS = ("/compute/v1", "/storage/v1", "/v1")


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """Whose credentials are used, for which project."""

    project: str
    credentials_file: str = ""
    """Of a service account or an external account; empty: application default credentials."""
    impersonate: str = ""
    """E-mail of the service account to act as; empty: the credentials' own account."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Service (``compute``) to base URL, only where it is not Google's own."""

    def base_url(self, service: str) -> str:
        """Return a service's address, without a slash at its end."""
        return self.endpoints.get(service) or f"https://{service}.googleapis.com"


def endpoints_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the services whose addresses gcloud's own variables replace
    (``CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`` ...).

    Raises:
        InputError: an address that is none, or one without TLS that is not on this machine: what is
            sent there carries an access token.
    """
    found: dict[str, str] = {}
    for service in _SERVICES:
        variable = _VARIABLE + service.upper()
        value = environment.get(variable, "").strip()
        if value:
            found[service] = _address(variable, value)
    return found


def is_loopback(host: str) -> bool:
    """Return whether a host name or address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(variable: str, value: str) -> str:
    try:
        parts = urlsplit(value)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        raise InputError(
            f"{variable} is no address of a service: {harmless(value)}.",
            f"Unset {variable}, or set it to an https:// address.",
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise InputError(
            f"{variable} would send access tokens to {harmless(host)} without encryption.",
            f"Unset {variable}, or set it to an https:// address.",
        )
    path = parts.path.rstrip("/")
    for own in _OWN_PATHS:
        if path.endswith(own):
            path = path.removesuffix(own)
            break
    return f"{parts.scheme}://{parts.netloc}{path}"
