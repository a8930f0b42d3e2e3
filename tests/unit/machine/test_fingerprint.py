"""A machine's id comes from stable facts, so baselines meet the machine they were measured on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokgate.errors import MeasurementError
from tokgate.machine import cpumodel
from tokgate.machine.fingerprint import fingerprint, isa, memory_class_gib, software
from tokgate.session import check_slug

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ice lake", "intel-xeon-platinum-8370c-8c-16g"),
        ("milan", "amd-epyc-7763-4c-32g"),
        ("graviton2", "arm-neoverse-n1-4c-8g"),
    ],
)
def test_ids_of_recorded_machines(tree, recorded, name, expected):
    found = fingerprint(tree(recorded[name]))
    assert found["id"] == expected
    assert found["kind"] == "cpu"
    assert json.loads(json.dumps(found)) == found


def test_real_machine_has_an_id_that_can_name_a_folder():
    found = fingerprint()
    assert check_slug("machine.id", found["id"]) == found["id"]
    assert found["recorded"]["memory_bytes"] > 0


def test_id_and_stable_facts_survive_what_differs_between_equal_machines(tree, recorded, tmp_path):
    """Clocks, bogomips, host name, kernel, microcode and a few MB of memory are no identity."""
    other = dict(recorded["ice lake"])
    other["proc/cpuinfo"] = (
        other["proc/cpuinfo"]
        .replace("94.530", "17.001")
        .replace("5589.06", "5600.11")
        .replace("0xd0003a5", "0xd000404")
    )
    other["proc/meminfo"] = other["proc/meminfo"].replace("16393000", "16310000")
    other["proc/sys/kernel/osrelease"] = "6.9.1\n"
    one = fingerprint(tree(recorded["ice lake"], {"proc/sys/kernel/hostname": "node-a\n"}))
    two = fingerprint(tree(other, {"proc/sys/kernel/hostname": "node-b\n"}, root=tmp_path / "two"))
    assert (one["id"], one["stable"]) == (two["id"], two["stable"])
    assert one["recorded"] != two["recorded"]
    assert "node-a" not in json.dumps(one)


def test_what_makes_another_machine_shows_in_id_or_stable_facts(tree, recorded, tmp_path):
    one = fingerprint(tree(recorded["ice lake"]))
    bare = {"proc/cpuinfo": recorded["ice lake"]["proc/cpuinfo"].replace(" hypervisor", "")}
    assert fingerprint(tree(bare))["stable"] == {**one["stable"], "hypervisor": False}
    limited = fingerprint(tree(recorded["ice lake"], recorded["docker v1"], root=tmp_path / "limited"))
    assert limited["id"] == "intel-xeon-platinum-8370c-1c-2g"
    assert limited["recorded"]["container"] is True


def test_settings_are_recorded(tree, recorded):
    cpu = "sys/devices/system/cpu"
    files = {f"{cpu}/cpu{n}/cpufreq/scaling_governor": "powersave\n" for n in range(8)}
    files[f"{cpu}/intel_pstate/no_turbo"] = "0\n"
    files[f"{cpu}/cpu0/topology/thread_siblings_list"] = "0,4\n"
    files[f"{cpu}/cpu0/cache/index3/level"] = "3\n"
    files[f"{cpu}/cpu0/cache/index3/size"] = "49152K\n"
    files["sys/devices/system/node/online"] = "0-1\n"
    found = fingerprint(tree(recorded["ice lake"], files))
    expected = {
        "governor": "powersave",
        "turbo": "on",
        "thp": "madvise",
        "numa_nodes": 2,
        "l3_bytes": 48 << 20,
    }
    assert expected.items() <= found["recorded"].items()
    assert found["stable"]["threads_per_core"] == 2


@pytest.mark.parametrize(
    ("brand", "expected"),
    [
        ("Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz", "intel-xeon-gold-6130"),
        ("13th Gen Intel(R) Core(TM) i7-1370P", "intel-core-i7-1370p"),
        ("AMD Ryzen 7 5800H with Radeon Graphics", "amd-ryzen-7-5800h"),
        ("AMD FX(tm)-8350 Eight-Core Processor", "amd-fx-8350"),
        ("Intel Xeon Processor (Skylake, IBRS, no TSX)", "intel-xeon-skylake"),
        ("AMD EPYC-Rome Processor", "amd-epyc-rome"),
        ("Intel(R) Xeon(R) CPU E5-2670 v3 @ 2.30GHz", "intel-xeon-e5-2670-v3"),
        ("AMD EPYC Processor (with IBPB)", "amd-epyc"),
    ],
)
def test_brand_names_become_slugs(brand, expected):
    assert cpumodel.slug(cpumodel.clean_name(brand)) == expected


@pytest.mark.parametrize(
    ("brand", "family", "model", "stepping", "expected"),
    [
        ("AMD EPYC", 25, 1, 1, "AMD EPYC 7003"),
        ("AMD EPYC", 25, 17, 1, "AMD EPYC 9004"),
        ("AMD EPYC Processor", 23, 49, 0, "AMD EPYC 7002"),
        ("AMD EPYC", 99, 3, 0, "AMD EPYC 99-3"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", 6, 79, 0, "Intel Xeon broadwell"),
        ("Intel(R) Xeon(R) Processor @ 2.50GHz", 6, 85, 7, "Intel Xeon cascadelake"),
        ("Intel(R) Xeon(R) CPU @ 2.00GHz", 6, 85, 3, "Intel Xeon skylake"),
        ("Intel(R) Xeon(R) CPU @ 2.70GHz", 6, 143, 8, "Intel Xeon sapphirerapids"),
    ],
)
def test_clouds_generic_names_are_told_apart_by_generation(tree, cpuinfo_x86, brand, family, model, stepping, expected):
    root = tree({"proc/cpuinfo": cpuinfo_x86(brand, "", family, model, stepping, "avx2", 2)})
    assert cpumodel.model_name(root) == expected


@pytest.mark.parametrize(
    ("implementer", "parts", "expected"),
    [
        (0x41, [0xD40] * 2, "ARM Neoverse-V1"),
        (0x41, [0xD49] * 2, "ARM Neoverse-N2"),
        (0x41, [0xD4F] * 2, "ARM Neoverse-V2"),
        (0x41, [0xD08] * 4, "ARM Cortex-A72"),
        (0x41, [0xD05, 0xD05, 0xD0B, 0xD0B], "ARM Cortex-A55 Cortex-A76"),
        (0xC0, [0xAC3], "Ampere AmpereOne"),
        (0x48, [0xD01], "HiSilicon Kunpeng-920"),
        (0x99, [0x123], "ARM-99 part-123"),
    ],
)
def test_arm_names_come_from_implementer_and_part(tree, cpuinfo_arm, implementer, parts, expected):
    assert cpumodel.model_name(tree({"proc/cpuinfo": cpuinfo_arm(implementer, parts)})) == expected


def test_a_cpu_without_a_name_is_asked_of_py_cpuinfo(monkeypatch):
    monkeypatch.setattr(cpumodel, "first_cpu", lambda root: {"cpu": "POWER9"})
    monkeypatch.setattr(cpumodel, "_name_by_py_cpuinfo", lambda: "POWER9 (raw), altivec supported")
    assert cpumodel.slug(cpumodel.model_name()) == "power9-raw-altivec-supported"
    monkeypatch.setattr(cpumodel, "_name_by_py_cpuinfo", lambda: "")
    assert cpumodel.model_name() == cpumodel.platform.machine()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("avx2", "avx2"),
        ("avx2 avx_vnni", "avx2"),
        ("avx2 avx512f", "avx512"),
        ("avx2 avx512f avx512_vnni amx_int8", "avx512_vnni"),
        ("", "avx2"),
    ],
)
def test_quantisation_follows_the_flags(tree, cpuinfo_x86, flags, expected):
    root = tree({"proc/cpuinfo": cpuinfo_x86("x", "", 6, 1, 1, flags, 1)})
    assert isa(root) == expected


def test_arm_quantises_for_arm_and_others_say_so(tree, recorded):
    assert isa(tree(recorded["graviton2"])) == "arm64"
    with pytest.raises(MeasurementError, match="no INT8 preset"):
        isa(tree({"proc/cpuinfo": "processor\t: 0\ncpu\t\t: POWER9\n"}))


@pytest.mark.parametrize(
    ("gib", "expected"),
    [(15.3, 16), (15.6, 16), (16, 16), (7.6, 8), (0.95, 1), (3.7, 4), (23.5, 24), (62.7, 64),
     (30.6, 32), (5.7, 6), (1007, 1024), (1510, 1536), (0.4, 1)],
)  # fmt: skip
def test_memory_class_is_the_size_it_was_sold_as(gib, expected):
    assert memory_class_gib(int(gib * 2**30)) == expected


@settings(deadline=None)
@given(st.floats(1, 4000), st.floats(1, 4000))
def test_more_memory_is_never_a_smaller_class(one, two):
    low, high = sorted((one, two))
    assert memory_class_gib(int(low * 2**30)) <= memory_class_gib(int(high * 2**30))


@settings(deadline=None)
@given(st.text())
def test_a_slug_never_leaves_its_folder(name):
    assert check_slug("id", f"{cpumodel.slug(name) or 'cpu'}-2c-24g")


def test_software_names_versions_without_importing():
    code = (
        "import sys; from tokgate.machine.fingerprint import software\n"
        "print(sorted(software(['numpy', 'no-such-package'])), 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['kernel', 'libc', 'numpy', 'python'] False"
    assert software([])["python"].startswith("3.")
