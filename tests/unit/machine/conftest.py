"""Recorded machines: /proc and /sys as they were seen, cut to what is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import tokgate

Tree = Callable[..., Path]


@pytest.fixture(autouse=True)
def _children_find_tokgate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(tokgate.__file__).resolve().parents[1]))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files (path -> text) below a fresh root, or over an earlier one, and returns the root."""

    def write(*parts: Mapping[str, str], root: Path | None = None) -> Path:
        root = root or tmp_path / "root"
        for files in parts:
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
        return root

    return write


def x86(name: str, vendor: str, family: int, model: int, stepping: int, flags: str, cpus: int) -> str:
    entry = (
        "processor\t: {cpu}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        "model name\t: {name}\nstepping\t: {stepping}\nmicrocode\t: 0xd0003a5\ncpu MHz\t\t: 2{cpu}94.530\n"
        "siblings\t: {cpus}\ncpu cores\t: {cores}\nflags\t\t: fpu sse sse2 {flags}\nbogomips\t: 5589.06\n\n"
    )
    facts = {"vendor": vendor, "family": family, "model": model, "name": name, "stepping": stepping}
    return "".join(
        entry.format(cpu=cpu, cpus=cpus, cores=max(1, cpus // 2), flags=flags, **facts) for cpu in range(cpus)
    )


def arm(implementer: int, parts: list[int], features: str = "fp asimd asimddp") -> str:
    return "".join(
        f"processor\t: {cpu}\nBogoMIPS\t: 243.75\nFeatures\t: {features}\n"
        f"CPU implementer\t: {implementer:#04x}\nCPU architecture: 8\n"
        f"CPU variant\t: 0x3\nCPU part\t: {part:#05x}\nCPU revision\t: 1\n\n"
        for cpu, part in enumerate(parts)
    )


def machine(cpuinfo: str, cpus: int, memory_kib: int) -> dict[str, str]:
    """A whole machine without control groups; allowed on all of its CPUs."""
    return {
        "proc/cpuinfo": cpuinfo,
        "proc/meminfo": f"MemTotal: {memory_kib} kB\nMemFree: 1 kB\nMemAvailable: {memory_kib // 2} kB\n"
        "SwapTotal: 0 kB\nSwapFree: 0 kB\n",
        "proc/self/status": (f"Name:\tpython\nVmHWM:\t 2048 kB\nVmSwap:\t 12 kB\nCpus_allowed_list:\t0-{cpus - 1}\n"),
        "proc/self/cgroup": "0::/\n",
        "proc/sys/kernel/osrelease": "6.8.0-45-generic\n",
        "sys/devices/system/cpu/online": f"0-{cpus - 1}\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    }


ICE_LAKE = machine(
    x86(
        "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "GenuineIntel", 6, 106, 6,
        "ht avx2 avx512f avx512bw avx512vl avx512_vnni hypervisor", 8,
    ), 8, 16_393_000,
)  # fmt: skip
MILAN = machine(x86("AMD EPYC 7763 64-Core Processor", "AuthenticAMD", 25, 1, 1, "ht avx2", 4), 4, 32_870_000)
GRAVITON2 = machine(arm(0x41, [0xD0C] * 4), 4, 7_900_000)

CGROUP2_MOUNT = "35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
# cgroup v2, a pod of Kubernetes seen from the host's name space: limits on the pod, none on its container.
POD_V2 = {
    "proc/self/cgroup": "0::/kubepods/pod1/box\n",
    "proc/self/mountinfo": CGROUP2_MOUNT,
    "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "max 100000\n",
    "sys/fs/cgroup/kubepods/pod1/box/cpu.stat": "usage_usec 10\nnr_throttled 0\nthrottled_usec 0\n",
    "sys/fs/cgroup/kubepods/pod1/box/memory.max": "max\n",
    "sys/fs/cgroup/kubepods/pod1/cpu.max": "250000 100000\n",
    "sys/fs/cgroup/kubepods/pod1/cpu.stat": "usage_usec 10\nnr_throttled 3\nthrottled_usec 1500000\n",
    "sys/fs/cgroup/kubepods/pod1/memory.max": f"{4 << 30}\n",
    "sys/fs/cgroup/kubepods/pod1/memory.current": f"{3 << 30}\n",
    "sys/fs/cgroup/kubepods/pod1/memory.stat": f"anon 5\ninactive_file {1 << 30}\n",
}
# cgroup v1, docker: /proc shows the host's path, and the mount shows the container's own group as its root.
DOCKER_V1 = {
    ".dockerenv": "",
    "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n",
    "proc/self/mountinfo": (
        "40 39 0:33 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
        "41 39 0:34 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "42 39 0:35 / /sys/fs/cgroup/unified ro - cgroup2 cgroup rw\n"
    ),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 2500000000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 << 30}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{1 << 30}\n",
    "sys/fs/cgroup/memory/memory.stat": "cache 7\ntotal_inactive_file 0\n",
}


@pytest.fixture
def recorded() -> dict[str, dict[str, str]]:
    return {
        "ice lake": ICE_LAKE,
        "milan": MILAN,
        "graviton2": GRAVITON2,
        "pod v2": POD_V2,
        "docker v1": DOCKER_V1,
    }


@pytest.fixture
def cpuinfo_x86() -> Callable[..., str]:
    return x86


@pytest.fixture
def cpuinfo_arm() -> Callable[..., str]:
    return arm


@pytest.fixture
def machine_files() -> Callable[..., dict[str, str]]:
    return machine
