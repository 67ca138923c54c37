"""Where Google's services are found."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from core.gcp.access import GoogleAccess, endpoints_of, is_loopback


def test_a_service_is_at_googles_address_unless_another_is_named() -> None:
    access = GoogleAccess("p", endpoints={"compute": "http://127.0.0.1:8080"})
    assert access.base_url("compute") == "http://127.0.0.1:8080"
    assert access.base_url("container") == "https://container.googleapis.com"


def test_gclouds_own_variables_name_other_addresses() -> None:
    found = endpoints_of(
        {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": "https://psc.example.net/compute/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": "http://localhost:90/storage/v1/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING": "http://[::1]:90/billing/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER": " http://127.0.0.1:90 ",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": "",
            "CLOUDSDK_CORE_PROJECT": "another",
        }
    )
    assert found == {
        "compute": "https://psc.example.net",
        "storage": "http://localhost:90",
        "cloudbilling": "http://[::1]:90/billing",
        "container": "http://127.0.0.1:90",
    }


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.1:90", "http://localhost.example.net", "http://127.0.0.1.example.net"],
)
def test_no_token_leaves_this_machine_in_the_clear(address: str) -> None:
    with pytest.raises(InputError, match="without encryption") as caught:
        endpoints_of({"CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": address})
    assert "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE" in caught.value.remedy


@pytest.mark.parametrize(
    "address", ["compute.googleapis.com", "ftp://x", "https://", "https://u:p@x", "http://x:port"]
)
def test_what_is_no_address_is_refused_by_the_variables_name(address: str) -> None:
    with pytest.raises(InputError, match="CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM is no address"):
        endpoints_of({"CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM": address})


def test_loopback_is_told_by_address_and_by_name() -> None:
    assert is_loopback("127.3.2.1")
    assert is_loopback("::1")
    assert is_loopback("localhost")
    assert not is_loopback("::ffff")
    assert not is_loopback("example.net")
