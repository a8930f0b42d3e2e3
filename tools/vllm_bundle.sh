#!/usr/bin/env bash
# Makes an offline bundle for a GPU host that has no network but already has PyTorch: what requirements-gpu.txt names and
# the host lacks, vLLM first of all.
#
#   tools/vllm_bundle.sh OUT_DIR ARCH HOST_LIST [PYTHON]
#
# ARCH       hopper (FlashAttention 3), ampere or ada (FlashAttention 2), turing (neither): what the GPU has no use
#            for is left out
# HOST_LIST  what the host has, from there: python3 -m pip list --format=freeze > host.txt
# PYTHON     a CPython of the host's minor version (default: python3.12)
#
# Leaves OUT_DIR/bundle.NN, each under 56 MiB. On the host:
#
#   mkdir site && cat bundle.* | xz -dc | tar -x -C site && export PYTHONPATH=$PWD/site
#
# What is bundled goes before what the host has; tokgate itself is a checkout on that path too. REQUIREMENTS names another
# file, as requirements-gpu-cuda12.txt for drivers older than 580; ONLY_VLLM=1 takes of it vLLM and what that needs.
set -euo pipefail

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
[[ $# -ge 3 ]] || usage
out=$1 arch=$2 host_list=$3 python=${4:-python3.12}
here=$(cd "$(dirname "$0")/.." && pwd)
requirements=${REQUIREMENTS:-$here/requirements-gpu.txt}
[[ -r $requirements ]] || { echo "$requirements cannot be read; expected a file as requirements-gpu.txt" >&2; exit 2; }

attention=vllm/vllm_flash_attn
case $arch in
  hopper) dropped=("$attention/_vllm_fa2_C.abi3.so") ;;
  ampere | ada) dropped=("$attention/_vllm_fa3_C.abi3.so") ;;
  turing) dropped=("$attention/_vllm_fa2_C.abi3.so" "$attention/_vllm_fa3_C.abi3.so") ;;
  *) echo "unknown ARCH '$arch'; expected hopper, ampere, ada or turing" >&2; exit 2 ;;
esac
[[ -r $host_list ]] || { echo "$host_list cannot be read; make it on the host: python3 -m pip list --format=freeze" >&2; exit 2; }
command -v "$python" > /dev/null || { echo "no $python here; expected a CPython of the host's minor version" >&2; exit 2; }

# What generating text never loads.
unused='^(tokenspeed-triton|tokenspeed-mla|nvidia-cutlass-dsl-libs-cu1[23]|nvidia-nvvm|nvidia-cuda-(nvcc|crt|cccl|nvdisasm)|pynvvideocodec|z3-solver|torchcodec|tilelang|rignore|sentry-sdk|fastapi-cloud-cli|agent-detector)$'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --disable-pip-version-check"
$pip install --quiet --upgrade pip
grep -v '^-e' "$requirements" | grep "${ONLY_VLLM:+^vllm==}" > "$work/named.txt"
$pip install --quiet --dry-run --ignore-installed --only-binary=:all: --report "$work/plan.json" -r "$work/named.txt"
"$work/venv/bin/python" - "$work/plan.json" "$host_list" "$unused" > "$work/wanted.txt" <<'PY'
import json
import re
import sys


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


plan, host_list, unused = sys.argv[1:]
with open(host_list) as lines:
    pinned = (line.strip().split("==", 1) for line in lines if "==" in line)
    there = {canonical(name.strip()): version for name, version in pinned}
if "torch" not in there:
    sys.exit(f"{host_list} holds no torch: without it the host needs more than this bundle")
wanted = json.load(open(plan))["install"]
(torch,) = (item["metadata"]["version"] for item in wanted if item["metadata"]["name"] == "torch")
if there["torch"].split("+")[0] != torch.split("+")[0]:
    sys.exit(f"{host_list} holds torch {there['torch']}, and vLLM's kernels are built for {torch}: install that there, "
             "or name the requirements that have the host's (requirements-gpu-cuda12.txt: 2.10.0)")
for item in wanted:
    name = canonical(item["metadata"]["name"])
    if name not in there and not re.match(unused, name):
        print(f"{name}=={item['metadata']['version']}")
PY
$pip download --quiet --no-deps --only-binary=:all: --dest "$work/wheels" --requirement "$work/wanted.txt"
$pip install --quiet --no-deps --no-index --no-compile --target "$work/site" "$work"/wheels/*.whl

for file in "${dropped[@]}"; do
  # A host may have vLLM itself, and lack the rest.
  if [[ -d $work/site/vllm && ! -e $work/site/$file ]]; then
    echo "warning: this vLLM has no $file: nothing was left out for ARCH $arch there, and the bundle is larger; its" \
      "libraries: $(cd "$work/site" && find "$attention" -name '*.so' 2> /dev/null | sort | xargs)" >&2
  fi
  rm -f "$work/site/$file"
done
rm -rf "$work"/site/vllm/third_party/*/cutlass "$work"/site/vllm/third_party/deep_gemm/include/{cute,cutlass} \
  "$work"/site/vllm/vllm-rs "$work"/site/mistral_common/data/tekken_24*
mkdir -p "$out"
# One old date for all, another of each list of wheels: kernels that a host keeps from an earlier run (FlashInfer's) are
# not older than their sources, and not compiled anew; bytecode of another bundle's modules is not taken for this one's.
dated=$((946684800 + 0x$(sha256sum "$work/wanted.txt" | cut -c1-7)))
tar -C "$work/site" --mtime="@$dated" --sort=name -cf - . | xz -T0 -5 | split -b 56M -d - "$out/bundle."
ls -l "$out"
