"""A GPU machine's id comes from the GPUs that are used, and from facts that stay."""

from __future__ import annotations

import json

import pytest
from boards import NO_PERMISSION, NOT_SUPPORTED, Board, FakeNvml

from tokgate.errors import InputError, MeasurementError, NoDeviceError, TooFewGpusError
from tokgate.machine.gpu import gpu_fingerprint, used_gpus
from tokgate.session import check_slug

pytestmark = pytest.mark.unit


def t4(uuid: str = "GPU-t4") -> Board:
    return Board(uuid, "Tesla T4", 15360, 70_000, (7, 5), errors={"nvmlDeviceGetMigMode": NOT_SUPPORTED})


def h200s(count: int) -> list[Board]:
    return [Board(f"GPU-{number}00{number}-h200") for number in range(count)]


def sliced_a100(*slices: Board | None) -> Board:
    return Board("GPU-a100", "NVIDIA A100-SXM4-80GB", 81920, 400_000, (8, 0), mig=True, slices=slices)


def a_slice(number: int, name: str = "NVIDIA A100-SXM4-80GB MIG 1g.10gb") -> Board:
    return Board(f"MIG-{number}111-slice", name, 9728)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tesla T4", "nvidia-t4"),
        ("NVIDIA T4", "nvidia-t4"),
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA A10", "nvidia-a10"),
        ("A100-SXM4-40GB", "nvidia-a100-sxm4-40gb"),
        ("Tesla V100-SXM2-16GB", "nvidia-v100-sxm2-16gb"),
        ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
    ],
)
def test_ids_of_names_as_drivers_give_them(name, expected):
    found = gpu_fingerprint(None, {}, nvml=FakeNvml(Board("GPU-1", name)))
    assert check_slug("machine.id", found["id"]) == expected
    assert found["kind"] == "gpu"
    assert json.loads(json.dumps(found)) == found


def test_stable_facts_are_those_that_make_a_machine():
    found = gpu_fingerprint(None, {}, nvml=FakeNvml(t4()))
    assert found["stable"] == {
        "gpu_count": 1,
        "gpu_name": "NVIDIA T4",
        "gpu_memory_mib": 15360,
        "power_limit_w": 70,
        "mig": "off",
        "compute_capability": "7.5",
    }


def test_the_rest_is_recorded_and_what_the_driver_does_not_say_is_absent():
    found = gpu_fingerprint(None, {}, nvml=FakeNvml(*h200s(1)))["recorded"]
    assert (found["driver"], found["cuda_driver"], found["ecc"]) == ("580.95.05", "13.0", 1)
    assert (found["sm_clock_max_mhz"], found["sm_clock_application_mhz"]) == (1980, None)
    assert found["persistence_mode"] is None
    assert found["host"]["usable_cores"] >= 1


def test_an_older_library_that_gives_bytes_makes_the_same_machine():
    new, old = (gpu_fingerprint(None, {}, nvml=FakeNvml(t4(), old=old)) for old in (False, True))
    assert (new["id"], new["stable"]) == (old["id"], old["stable"])
    assert old["recorded"]["driver"] == "535.183.01"


def test_the_id_counts_the_gpus_used_not_those_present():
    nvml = FakeNvml(*h200s(4))
    assert gpu_fingerprint(1, {}, nvml=nvml)["id"] == "nvidia-h200"
    assert gpu_fingerprint(2, {}, nvml=nvml)["id"] == "nvidia-h200-x2"
    assert gpu_fingerprint(None, {}, nvml=nvml)["id"] == "nvidia-h200-x4"
    assert gpu_fingerprint(1, {}, nvml=nvml)["stable"] == gpu_fingerprint(1, {}, nvml=FakeNvml(*h200s(1)))["stable"]
    assert nvml.sessions == 0, "every session is shut down"


def test_uuids_are_recorded_and_no_stable_fact():
    one, other = (gpu_fingerprint(None, {}, nvml=FakeNvml(Board(uuid))) for uuid in ("GPU-1", "GPU-2"))
    assert (one["id"], one["stable"]) == (other["id"], other["stable"])
    assert one["recorded"]["uuids"] != other["recorded"]["uuids"]


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2", ["GPU-2002-h200"]),
        ("3,1", ["GPU-3003-h200", "GPU-1001-h200"]),
        (" 0 , 1 ", ["GPU-0000-h200", "GPU-1001-h200"]),
        ("0,2,-1,1", ["GPU-0000-h200", "GPU-2002-h200"]),
        ("GPU-1001-h200", ["GPU-1001-h200"]),
        ("GPU-30,0", ["GPU-3003-h200", "GPU-0000-h200"]),
    ],
)
def test_visible_are_those_that_cuda_shows_in_its_order(visible, expected):
    gpus = used_gpus(None, {"CUDA_VISIBLE_DEVICES": visible}, FakeNvml(*h200s(4)))
    assert [gpu.uuid for gpu in gpus] == expected


@pytest.mark.parametrize(
    ("visible", "said"),
    [
        ("7", "'7'"),
        ("GPU-9", "names none"),
        ("GPU-", "fits 4"),
        ("0,0", "twice"),
        ("all", "'all'"),
        ("MIG-1", "here are none"),
    ],
)
def test_an_entry_that_names_no_gpu_is_bad_input(visible, said):
    """CUDA itself would silently leave out this one and all that follow."""
    with pytest.raises(InputError, match=said):
        used_gpus(None, {"CUDA_VISIBLE_DEVICES": visible}, FakeNvml(*h200s(4)))


@pytest.mark.parametrize("visible", ["", "-1"])
def test_no_visible_gpu_is_an_error_that_says_why(visible):
    with pytest.raises(NoDeviceError, match=f"no GPU is visible .CUDA_VISIBLE_DEVICES='{visible}'"):
        used_gpus(None, {"CUDA_VISIBLE_DEVICES": visible}, FakeNvml(*h200s(1)))


def test_more_gpus_than_are_visible_is_no_device():
    with pytest.raises(TooFewGpusError, match="3 GPUs are asked for and 2 are visible") as raised:
        used_gpus(3, {}, FakeNvml(*h200s(2)))
    assert raised.value.machine_id == "nvidia-h200-x3"
    with pytest.raises(InputError, match="0 GPUs are asked for"):
        used_gpus(0, {}, FakeNvml(*h200s(2)))


def test_different_gpus_are_no_one_machine():
    nvml = FakeNvml(Board("GPU-a10", "NVIDIA A10", 23028, 150_000), t4())
    with pytest.raises(InputError, match=r"different GPUs \(NVIDIA A10, Tesla T4\)"):
        used_gpus(None, {}, nvml)
    with pytest.raises(InputError, match=r"GPU-a10 has gpu_name NVIDIA A10.*GPU-t4 has gpu_name NVIDIA T4"):
        used_gpus(None, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, nvml)
    (chosen,) = used_gpus(None, {"CUDA_VISIBLE_DEVICES": "GPU-t4"}, nvml)
    assert chosen.stable["gpu_name"] == "NVIDIA T4"


def test_numbers_of_different_gpus_count_only_where_cuda_counts_as_the_driver_does():
    """CUDA's 0 is the fastest GPU, NVML's the first on the bus."""
    nvml = FakeNvml(t4(), Board("GPU-a10", "NVIDIA A10"))
    with pytest.raises(InputError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        used_gpus(1, {"CUDA_VISIBLE_DEVICES": "0"}, nvml)
    (chosen,) = used_gpus(1, {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, nvml)
    assert chosen.uuid == "GPU-t4"


def test_equal_gpus_with_different_limits_are_no_one_machine():
    boards = h200s(2)
    boards[1].limit_mw = 500_000
    with pytest.raises(InputError, match=r"power_limit_w 700.*power_limit_w 500"):
        used_gpus(None, {}, FakeNvml(*boards))


def test_a_slice_has_its_own_name_and_memory_and_its_gpus_limits():
    nvml = FakeNvml(sliced_a100(a_slice(1), None, a_slice(2)))
    found = gpu_fingerprint(None, {"CUDA_VISIBLE_DEVICES": "MIG-2"}, nvml=nvml)
    assert check_slug("machine.id", found["id"]) == "nvidia-a100-sxm4-80gb-mig-1g.10gb"
    assert found["stable"] == {
        "gpu_count": 1,
        "gpu_name": "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "gpu_memory_mib": 9728,
        "power_limit_w": 400,
        "mig": "1g.10gb",
        "compute_capability": "8.0",
    }
    (gpu,) = used_gpus(None, {"CUDA_VISIBLE_DEVICES": "MIG-2"}, nvml)
    assert (gpu.uuid, gpu.whole_uuid) == ("MIG-2111-slice", "GPU-a100")


def test_a_driver_that_leaves_the_profile_out_of_the_name_makes_the_same_machine():
    nvml = FakeNvml(sliced_a100(a_slice(1, "NVIDIA A100-SXM4-80GB")))
    assert gpu_fingerprint(None, {}, nvml=nvml)["id"] == "nvidia-a100-sxm4-80gb-mig-1g.10gb"


def test_a_gpu_in_mig_mode_is_its_only_slice_or_one_has_to_be_named():
    (gpu,) = used_gpus(None, {"CUDA_VISIBLE_DEVICES": "0"}, FakeNvml(sliced_a100(a_slice(1))))
    assert gpu.uuid == "MIG-1111-slice"
    with pytest.raises(InputError, match="MIG-1111-slice, MIG-2111-slice"):
        used_gpus(None, {}, FakeNvml(sliced_a100(a_slice(1), a_slice(2))))
    with pytest.raises(MeasurementError, match="has no slice"):
        used_gpus(None, {}, FakeNvml(sliced_a100()))


@pytest.mark.parametrize(
    "query", ["nvmlDeviceGetMemoryInfo", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetMigMode"]
)
def test_a_stable_fact_that_may_not_be_read_is_an_error(query):
    with pytest.raises(MeasurementError, match="Insufficient Permissions"):
        used_gpus(None, {}, FakeNvml(Board("GPU-1", errors={query: NO_PERMISSION})))


def test_a_recorded_fact_that_may_not_be_read_is_absent():
    board = Board("GPU-1", errors={"nvmlDeviceGetVbiosVersion": NO_PERMISSION})
    assert gpu_fingerprint(None, {}, nvml=FakeNvml(board))["recorded"]["vbios"] is None


def test_the_enforced_limit_counts_and_a_board_without_any_says_so():
    board = Board("GPU-1", errors={"nvmlDeviceGetEnforcedPowerLimit": NOT_SUPPORTED})
    assert used_gpus(None, {}, FakeNvml(board))[0].stable["power_limit_w"] == 700
    board.errors["nvmlDeviceGetPowerManagementLimit"] = NOT_SUPPORTED
    assert used_gpus(None, {}, FakeNvml(board))[0].stable["power_limit_w"] == "not supported"


def test_a_gpu_that_this_user_may_not_touch_is_not_counted():
    """In a container the driver lists what the host has; CUDA numbers what may be used."""
    boards = h200s(3)
    boards[0].errors["nvmlDeviceGetHandleByIndex"] = NO_PERMISSION
    (gpu,) = used_gpus(None, {"CUDA_VISIBLE_DEVICES": "0"}, FakeNvml(*boards))
    assert gpu.uuid == "GPU-1001-h200"


def test_facts_that_differ_between_gpus_are_recorded_one_by_one():
    boards = h200s(2)
    boards[1].vbios = "96.00.99.00.01"
    found = gpu_fingerprint(None, {}, nvml=FakeNvml(*boards))
    assert found["recorded"]["vbios"] == "96.00.68.00.01, 96.00.99.00.01"


def test_without_a_driver_it_says_what_to_look_at():
    with pytest.raises(NoDeviceError, match=r"Driver Not Loaded.*nvidia-smi"):
        used_gpus(None, {}, FakeNvml(driver=False))
