"""Whether an interpreter has an engine at all: asked before a model is built for it, minutes and a gigabyte earlier."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.util import find_spec

from tokgate.machine.gpustack import STACKS, driver_version, stack_for, update_driver

# Engine -> the module that its worker imports.
_MODULES = {"onnx": "onnxruntime", "genai": "onnxruntime_genai", "transformers": "transformers", "vllm": "vllm"}
# Those that have an environment of their own on a CPU: make's target, and where it is then.
_ENVIRONMENTS = {"genai": ("genai", ".venv-genai"), "vllm": ("vllm-cpu", ".venv-vllm")}
_ASK = "import sys; from importlib.util import find_spec; print(find_spec(sys.argv[1]) is not None)"


def missing_engine(engine: str, device: str, python: str, called: str) -> str | None:
    """What to say where the interpreter `python` cannot import `engine`, as a Group's `loader` has it; None if it can.

    `called`: the option that gave the interpreter. Nothing is imported: vLLM takes half a minute for that. Another
    interpreter is asked in a process of its own.
    """
    module = _MODULES[engine]
    if _has(python, module):
        return None
    if device == "gpu":
        remedy = _for_gpus(driver_version())
    elif engine in _ENVIRONMENTS:
        target, folder = _ENVIRONMENTS[engine]
        remedy = f"`make {target}` makes an environment that has it: give its interpreter, {called}={folder}/bin/python"
    else:
        remedy = "`pip install -r requirements-cpu.txt` installs it"
    return f"{python} has no {module}, which engine {engine} needs; {remedy}"


def _for_gpus(driver: str | None) -> str:
    """What installs the engines of GPUs: that is the driver's to decide, and wheels for a newer one would not start."""
    if driver is None:
        files = [f"`pip install -r {stack.requirements}` for driver {stack.least_driver} and up" for stack in STACKS]
        return f"{', else '.join(files)} (nvidia-smi shows it) installs what GPUs are measured with"
    stack = stack_for(driver)
    if stack is None:
        return f"no wheels of it run on this machine's driver, {driver}: {update_driver()}"
    return f"`pip install -r {stack.requirements}` installs what GPUs are measured with on driver {driver}"


@cache
def _has(python: str, module: str) -> bool:
    if python == sys.executable:
        return find_spec(module) is not None
    asked = subprocess.run([python, "-c", _ASK, module], capture_output=True, text=True)
    # What does not answer is no Python, and refused as such elsewhere.
    return asked.stdout.strip() != "False"
