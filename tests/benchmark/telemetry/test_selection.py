from pathlib import Path

import pynvml
import pytest

from benchmark.telemetry import GpuNotFound, NvmlSource, visible_devices
from tests.benchmark.telemetry.fake_nvml import FakeGpu, FakeInstance, FakeNvml

T4 = FakeGpu(uuid="GPU-aaaa1111-0000-0000-0000-000000000000")
TWIN = FakeGpu(uuid="GPU-aaaa2222-0000-0000-0000-000000000000")
A100 = FakeGpu(uuid="GPU-bbbb3333-0000-0000-0000-000000000000", name="NVIDIA A100-SXM4-40GB")
A100.instances = [
    FakeInstance(A100, uuid="MIG-first", gpu_instance=3, compute_instance=0),
    FakeInstance(A100, uuid="MIG-second", gpu_instance=4, compute_instance=0),
]


def opened(device: int | str, *gpus: FakeGpu, **environment: str) -> str | None:
    nvml = FakeNvml(*gpus)
    with NvmlSource.open(device, nvml=nvml, environment=environment, root=Path("/")) as source:
        identity = source.identity()
    return identity.mig_uuid or identity.uuid


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("2,1", ("2", "1")),
        ("0,2,-1,1", ("0", "2")),
        (" 0 , GPU-8932f937 ", ("0", "GPU-8932f937")),
        ("MIG-GPU-8932f937/1/0,x,3", ("MIG-GPU-8932f937/1/0",)),
    ],
)
def test_visible_devices_are_those_that_cuda_takes(
    value: str | None, entries: tuple[str, ...] | None
) -> None:
    assert visible_devices(value) == entries


def test_an_ordinal_is_an_index_when_everything_is_visible() -> None:
    assert opened(1, T4, TWIN) == TWIN.uuid


def test_an_ordinal_counts_what_cuda_may_see() -> None:
    assert opened(0, T4, TWIN, CUDA_VISIBLE_DEVICES="1") == TWIN.uuid
    assert opened(1, T4, TWIN, CUDA_VISIBLE_DEVICES="1,0") == T4.uuid


def test_an_ordinal_may_lead_to_a_uuid_or_a_mig_name() -> None:
    assert opened(0, T4, A100, CUDA_VISIBLE_DEVICES="GPU-bbbb") == A100.uuid
    assert opened(0, T4, A100, CUDA_VISIBLE_DEVICES="MIG-second") == "MIG-second"
    old_name = f"MIG-{A100.uuid}/3/0"
    assert opened(0, T4, A100, CUDA_VISIBLE_DEVICES=old_name) == "MIG-first"


def test_a_name_is_taken_as_it_is_whatever_cuda_may_see() -> None:
    assert opened(TWIN.uuid, T4, TWIN, CUDA_VISIBLE_DEVICES="") == TWIN.uuid


def test_different_gpus_may_be_numbered_only_in_bus_order() -> None:
    with pytest.raises(GpuNotFound, match="ambiguous") as raised:
        opened(0, T4, A100)
    assert "CUDA_DEVICE_ORDER" in raised.value.remedy
    assert opened(1, T4, A100, CUDA_DEVICE_ORDER="PCI_BUS_ID") == A100.uuid


@pytest.mark.parametrize(
    ("device", "visible"),
    [(0, ""), (1, "0"), (0, "7"), (0, "MIG-none"), (0, f"MIG-{A100.uuid}/9/9"), (-1, "0")],
)
def test_a_gpu_that_is_hidden_or_absent_is_one_clear_error(device: int, visible: str) -> None:
    with pytest.raises(GpuNotFound) as raised:
        opened(device, A100, CUDA_VISIBLE_DEVICES=visible)
    assert raised.value.remedy


@pytest.mark.parametrize("name", ["GPU-aaaa", "GPU-ffff"])
def test_a_uuid_must_name_exactly_one_gpu(name: str) -> None:
    with pytest.raises(GpuNotFound, match=f"begins with {name}"):
        opened(name, T4, TWIN)


def test_a_gpu_that_may_not_be_opened_is_one_clear_error_and_nvml_is_let_go() -> None:
    gpu = FakeGpu()
    nvml = FakeNvml(gpu)
    gpu.refused = {"nvmlDeviceGetHandleByIndex": pynvml.NVML_ERROR_NO_PERMISSION}
    with pytest.raises(GpuNotFound, match="Insufficient Permissions"):
        NvmlSource.open(nvml=nvml, environment={})
    assert nvml.initialised == 0
