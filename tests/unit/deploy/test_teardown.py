"""teardown.sh and filesystem.sh, with programs in the place of kubectl, eksctl and aws that note what they are told."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.deploy.files import DEPLOY

pytestmark = pytest.mark.unit

# A cloud in a folder: left/KIND holds what is there, told every call. Deleting takes away, but for what is stuck.
PROGRAM = r"""#!/usr/bin/env bash
line="${0##*/} $*"
printf '%s\n' "$line" >> "$CLOUD/told"
list() { mapfile -t names < "$CLOUD/left/$1"; (IFS=$'\t'; printf '%s\n' "${names[*]:-None}"); }
take() { for kind in "$@"; do [[ " $STUCK " == *" $kind "* ]] || : > "$CLOUD/left/$kind"; done; }
case $line in
  *" list-clusters "*) list clusters ;;
  *" get-resources "*Key=kubernetes.io*) list balancers ;;
  *" describe-volumes "*) list volumes ;;
  *" describe-instances "*) list instances ;;
  *" describe-stacks "*) list stacks ;;
  *" describe-mount-targets "*) list targets ;;
  *" describe-file-systems --file-system-id "*) echo available ;;
  *" describe-file-systems "*) list systems ;;
  *" create-file-system "*) echo fs-9 ;;
  *" describe-subnets "*) printf 'subnet-a\tsubnet-b\n' ;;
  *" get namespaces "*) echo "default kube-system monitoring vllm" ;;
  *" delete services "*) take balancers ;;
  *" delete persistentvolumeclaims "*) take volumes ;;
  *" delete-mount-target "*) take targets ;;
  *" delete-file-system "*) take systems ;;
  *" delete nodegroup "*) take instances ;;
  *" delete cluster "*) take clusters stacks ;;
esac
for call in $FAILS; do [[ $line != *" $call "* ]] || exit 255; done
"""
THERE = {
    "clusters": ["llm-inference"],
    "balancers": ["arn:aws:elasticloadbalancing:us-west-2:1:loadbalancer/net/a/1"],
    "volumes": ["vol-1", "vol-2"],
    "systems": ["fs-1"],
    "targets": ["fsmt-1", "fsmt-2"],
    "instances": ["i-1", "i-2"],
    "stacks": ["eksctl-llm-inference-cluster"],
}


@dataclass
class Cloud:
    folder: Path
    left: dict[str, list[str]] = field(default_factory=lambda: {kind: list(names) for kind, names in THERE.items()})
    stuck: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()

    def run(self, script: str, *options: str) -> subprocess.CompletedProcess[str]:
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("aws", "kubectl", "eksctl"):
            (programs / name).write_text(PROGRAM)
            (programs / name).chmod(0o755)
        (self.folder / "left").mkdir()
        (self.folder / "told").touch()
        for kind, names in self.left.items():
            (self.folder / "left" / kind).write_text("".join(f"{name}\n" for name in names))
        environ = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "CLOUD": str(self.folder),
            "STUCK": " ".join(self.stuck), "FAILS": " ".join(self.fails),
            "TEARDOWN_WAIT_S": "0", "TEARDOWN_POLL_S": "0",
        }  # fmt: skip
        done = subprocess.run([DEPLOY / script, *options], env=environ, capture_output=True, text=True, timeout=60)
        self.told = (self.folder / "told").read_text().splitlines()
        self.left = {kind: (self.folder / "left" / kind).read_text().split() for kind in self.left}
        return done

    def first(self, text: str) -> int:
        return next(number for number, line in enumerate(self.told) if text in line)

    @property
    def changes(self) -> list[str]:
        return [line for line in self.told if "delete" in line or "create" in line or "apply" in line]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def test_everything_goes_in_order_and_nothing_is_left(cloud: Cloud) -> None:
    done = cloud.run("teardown.sh")
    assert done.returncode == 0, done.stderr
    assert "nothing is left of llm-inference in us-west-2" in done.stdout
    order = [
        "delete horizontalpodautoscalers", "delete services", "delete persistentvolumeclaims",
        "efs delete-mount-target", "efs delete-file-system", "eksctl delete nodegroup", "eksctl delete cluster",
    ]  # fmt: skip
    places = [cloud.first(text) for text in order]
    assert places == sorted(places)
    assert not any(cloud.left.values())


def test_the_cluster_is_named_and_what_deletes_volumes_stays_until_the_last(cloud: Cloud) -> None:
    """kubectl speaks to the cluster of the config file, whatever its context; kube-system keeps its drivers."""
    cloud.run("teardown.sh")
    calls = [line for line in cloud.told if line.startswith("kubectl")]
    assert calls
    assert all(line.startswith("kubectl --kubeconfig ") for line in calls)
    assert "eks update-kubeconfig --name llm-inference" in cloud.told[cloud.first("update-kubeconfig")]
    assert not [line for line in calls if "kube-system" in line]
    assert [line for line in calls if "--namespace monitoring delete persistentvolumeclaims" in line]


@pytest.mark.parametrize("kind", ["systems", "instances", "stacks", "clusters"])
def test_what_is_left_at_the_end_is_named_and_fails(cloud: Cloud, kind: str) -> None:
    cloud.stuck = (kind,)
    done = cloud.run("teardown.sh")
    assert done.returncode == 1
    assert THERE[kind][0] in done.stderr
    assert "nothing is left" not in done.stdout


@pytest.mark.parametrize("kind", ["balancers", "volumes"])
def test_the_cluster_stays_while_its_load_balancers_and_volumes_do(cloud: Cloud, kind: str) -> None:
    """Without it nobody deletes them."""
    cloud.stuck = (kind,)
    done = cloud.run("teardown.sh")
    assert done.returncode == 1
    assert THERE[kind][0] in done.stderr
    assert not [line for line in cloud.told if line.startswith("eksctl")]


@pytest.mark.parametrize("call", ["list-clusters", "describe-volumes", "get-resources", "describe-stacks"])
def test_no_answer_is_not_nothing_left(cloud: Cloud, call: str) -> None:
    cloud.fails = (call,)
    done = cloud.run("teardown.sh")
    assert done.returncode == 1
    assert "nothing is left" not in done.stdout


def test_a_second_run_after_the_cluster_is_gone_sees_to_the_rest(cloud: Cloud) -> None:
    cloud.left["clusters"] = []
    for kind in ("instances", "stacks", "balancers", "volumes"):
        cloud.left[kind] = []
    done = cloud.run("teardown.sh")
    assert done.returncode == 0, done.stderr
    assert [line for line in cloud.told if "delete-file-system" in line]
    assert not [line for line in cloud.told if line.startswith(("kubectl", "eksctl"))]


def test_a_dry_run_changes_nothing_and_lists_what_is_there(cloud: Cloud) -> None:
    done = cloud.run("teardown.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert cloud.changes == []
    assert cloud.left == THERE
    assert "would run: eksctl delete cluster" in done.stdout
    assert "load balancers: arn:aws" in done.stdout


@pytest.mark.parametrize("script", ["teardown.sh", "eksctl/filesystem.sh"])
def test_another_option_is_refused_and_the_usage_shown(cloud: Cloud, script: str) -> None:
    done = cloud.run(script, "--force")
    assert done.returncode == 2
    assert f"deploy/{script} [--dry-run]" in done.stderr
    assert cloud.told == []


def test_a_file_system_is_made_with_a_door_in_every_subnet(cloud: Cloud) -> None:
    cloud.left.update(systems=[], targets=[])
    done = cloud.run("eksctl/filesystem.sh")
    assert done.returncode == 0, done.stderr
    (made,) = [line for line in cloud.told if "create-file-system" in line]
    assert "--tags Key=tokgate/cluster,Value=llm-inference" in made, "by which teardown.sh finds it"
    doors = [line for line in cloud.told if "create-mount-target" in line]
    assert [line.split("--subnet-id ")[1].split()[0] for line in doors] == ["subnet-a", "subnet-b"]
    assert all("--file-system-id fs-9" in line for line in doors)
    assert cloud.told[-1].startswith("kubectl --kubeconfig ")


def test_a_file_system_that_is_there_is_not_made_again(cloud: Cloud) -> None:
    done = cloud.run("eksctl/filesystem.sh")
    assert done.returncode == 0, done.stderr
    assert not [line for line in cloud.told if "create-file-system" in line]


def test_a_dry_run_of_the_file_system_changes_nothing(cloud: Cloud) -> None:
    done = cloud.run("eksctl/filesystem.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "fileSystemId: fs-1" in done.stdout
    assert cloud.changes == []
