"""What a CPU is called, and what it can do for INT8, from /proc/cpuinfo. Standard library alone."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Literal

from tokgate.errors import MeasurementError
from tokgate.machine.files import REAL_ROOT, read_text

Isa = Literal["avx512_vnni", "avx512", "avx2", "arm64"]

# Flags that decide how fast INT8 is. x86 and ARM names do not collide.
_INT8_FLAGS = frozenset({
    "avx2", "avx_vnni", "avx_vnni_int8", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
    "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2", "svei8mm", "svebf16",
})  # fmt: skip

# Implementer and part as in the MIDR_EL1 register; names as in util-linux (sys-utils/lscpu-arm.c).
_ARM_IMPLEMENTERS = {
    0x41: "ARM", 0x42: "Broadcom", 0x43: "Cavium", 0x46: "Fujitsu", 0x48: "HiSilicon", 0x4E: "NVIDIA",
    0x50: "APM", 0x51: "Qualcomm", 0x61: "Apple", 0x6D: "Microsoft", 0x70: "Phytium", 0xC0: "Ampere",
}  # fmt: skip
_ARM_PARTS = {
    (0x41, 0xD03): "Cortex-A53", (0x41, 0xD05): "Cortex-A55", (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72", (0x41, 0xD09): "Cortex-A73", (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76", (0x41, 0xD0C): "Neoverse-N1", (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse-V1", (0x41, 0xD41): "Cortex-A78", (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1", (0x41, 0xD46): "Cortex-A510", (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2", (0x41, 0xD49): "Neoverse-N2", (0x41, 0xD4A): "Neoverse-E1",
    (0x41, 0xD4B): "Cortex-A78C", (0x41, 0xD4D): "Cortex-A715", (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse-V2", (0x41, 0xD80): "Cortex-A520", (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD83): "Neoverse-V3AE", (0x41, 0xD84): "Neoverse-V3", (0x41, 0xD8E): "Neoverse-N3",
    (0x43, 0x0A1): "ThunderX", (0x43, 0x0AF): "ThunderX2", (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng-920", (0x48, 0xD02): "Kunpeng-TaiShan-v120", (0x4E, 0x004): "Carmel",
    (0x6D, 0xD49): "Azure-Cobalt-100", (0x70, 0x662): "FTC662", (0x70, 0x663): "FTC663",
    (0x70, 0x664): "FTC664", (0xC0, 0xAC3): "AmpereOne", (0xC0, 0xAC4): "AmpereOne-A",
    (0xC0, 0xAC5): "AmpereOne-B",
}  # fmt: skip

# Clouds and hypervisors cut the model's number off the name ("AMD EPYC", "Intel Xeon Processor @ 2.20GHz");
# then family and model tell the generations apart, which differ by more than any tolerance.
_AMD_GENERATIONS = (
    (23, range(0x10), "7001"), (23, range(0x30, 0x40), "7002"), (25, range(0x10), "7003"),
    (25, range(0x10, 0x20), "9004"), (25, range(0xA0, 0xB0), "9004"), (26, range(0x20), "9005"),
)  # fmt: skip
_INTEL_GENERATIONS = {
    63: "haswell", 79: "broadwell", 86: "broadwell-de", 85: "skylake", 106: "icelake", 108: "icelake-d",
    143: "sapphirerapids", 207: "emeraldrapids", 173: "graniterapids", 175: "sierraforest",
}  # fmt: skip
_CASCADE_LAKE_STEPPINGS = range(5, 8)
_COOPER_LAKE_STEPPINGS = range(8, 16)


def first_cpu(root: Path = REAL_ROOT) -> dict[str, str]:
    """The fields of the first processor in /proc/cpuinfo, keys in lower case."""
    return cpu_entries(root)[0]


def cpu_entries(root: Path = REAL_ROOT) -> list[dict[str, str]]:
    """The fields of each processor, at least one dict; fields below the last processor go to the last."""
    entries: list[dict[str, str]] = []
    for line in (read_text(root, "proc/cpuinfo") or "").splitlines():
        key, separator, value = line.partition(":")
        key = key.strip().lower()
        if key == "processor" and value.strip().isdigit():
            entries.append({})
        if separator:
            if not entries:
                entries.append({})
            entries[-1].setdefault(key, value.strip())
    return entries or [{}]


def cpu_flags(root: Path = REAL_ROOT) -> frozenset[str]:
    cpu = first_cpu(root)
    return frozenset((cpu.get("flags") or cpu.get("features") or "").split())


def int8_flags(root: Path = REAL_ROOT) -> tuple[str, ...]:
    """Those of the CPU's flags that INT8 kernels choose by, sorted."""
    return tuple(sorted(cpu_flags(root) & _INT8_FLAGS))


def isa(root: Path = REAL_ROOT) -> Isa:
    """Which of optimum's quantisation presets suits this CPU. Raises MeasurementError where none does.

    Any x86 without AVX-512 gets 'avx2': its reduced weight range is what keeps the 16-bit sums of
    instructions older than VNNI from saturating.
    """
    flags = cpu_flags(root)
    if "avx512_vnni" in flags:
        return "avx512_vnni"
    if "avx512f" in flags:
        return "avx512"
    if "sse2" in flags:
        return "avx2"
    if "asimd" in flags:
        return "arm64"
    raise MeasurementError(
        f"no INT8 preset for this CPU ({model_name(root)}): neither x86-64 nor 64-bit ARM flags in"
        " /proc/cpuinfo; measure FP32 only"
    )


def model_name(root: Path = REAL_ROOT) -> str:
    """The CPU's name without marks, clocks and core counts: 'Intel Xeon Platinum 8370C', 'ARM Neoverse-N1'.

    Generic names get their generation ('AMD EPYC 9004'). Where /proc/cpuinfo has no name, and the root is the
    real one, py-cpuinfo is asked, then platform.machine().
    """
    cpu = first_cpu(root)
    if "cpu implementer" in cpu:
        return _arm_name(root)
    name = clean_name(cpu.get("model name", ""))
    if name in ("", "unknown"):
        name = clean_name(_name_by_py_cpuinfo()) if root == REAL_ROOT else ""
    return _with_generation(name, cpu) or platform.machine() or "cpu"


def clean_name(name: str) -> str:
    """Strips what does not tell CPUs apart: (R), (TM), 'CPU', 'Processor', clocks, core counts."""
    name = re.sub(r"\((R|TM)\)", " ", name, flags=re.IGNORECASE)
    name = re.sub(r"@.*$", "", name)
    name = re.sub(r"\(?\bwith .*$", "", name, flags=re.IGNORECASE)
    name = re.sub(r",[^)]*(?=\))", "", name)
    name = re.sub(r"\b\d+th Gen\b|\b\w+-Core\b|\b(CPU|Processor)\b", " ", name, flags=re.IGNORECASE)
    return " ".join(name.split())


def slug(name: str) -> str:
    """Lower case, and '-' for whatever cannot stand in the name of a file."""
    return re.sub(r"[-.]{2,}", "-", re.sub(r"[^a-z0-9.]+", "-", name.lower())).strip("-.")


def _arm_name(root: Path) -> str:
    """By implementer and part, since most kernels give no name.

    Mixed cores are all named, in the order of the CPUs: 'ARM Cortex-A55 Cortex-A76'.
    """
    names: list[str] = []
    for cpu in cpu_entries(root):
        try:
            implementer, part = int(cpu["cpu implementer"], 16), int(cpu["cpu part"], 16)
        except (KeyError, ValueError):
            continue
        maker = _ARM_IMPLEMENTERS.get(implementer, f"ARM-{implementer:02x}")
        names += [maker, _ARM_PARTS.get((implementer, part), f"part-{part:03x}")]
    return " ".join(dict.fromkeys(names)) or platform.machine()


def _with_generation(name: str, cpu: dict[str, str]) -> str:
    try:
        family, model = int(cpu["cpu family"]), int(cpu["model"])
        stepping = int(cpu.get("stepping", "0"))
    except (KeyError, ValueError):
        return name
    generation = None
    if name == "AMD EPYC":
        generation = next((g for f, models, g in _AMD_GENERATIONS if f == family and model in models), None)
    elif name == "Intel Xeon" and family == 6:
        generation = _INTEL_GENERATIONS.get(model)
        if generation == "skylake" and stepping in _CASCADE_LAKE_STEPPINGS:
            generation = "cascadelake"
        elif generation == "skylake" and stepping in _COOPER_LAKE_STEPPINGS:
            generation = "cooperlake"
    else:
        return name
    return f"{name} {generation or f'{family}-{model}'}"


def _name_by_py_cpuinfo() -> str:
    """Slow (it may start processes), so it is the last but one resort and imported here alone."""
    try:
        import cpuinfo  # type: ignore[import-untyped,unused-ignore]  # it has no types
    except ImportError:
        return ""
    return str(cpuinfo.get_cpu_info().get("brand_raw", ""))
