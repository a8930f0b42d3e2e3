"""The cluster file and the Runpod template, which have no schema here: the fields that are used."""

from __future__ import annotations

import json

import pytest

from tests.unit.deploy.files import DEPLOY, documents, resource

pytestmark = pytest.mark.unit

CLUSTER = documents(DEPLOY / "eksctl" / "cluster.yaml")[0]
# eksctl's schema.json (pkg/apis/eksctl.io/v1alpha5/assets), of ManagedNodeGroup, what is used here.
NODE_GROUP = {
    "name", "instanceType", "minSize", "maxSize", "desiredCapacity", "volumeSize", "volumeType", "labels", "taints",
    "tags",
}  # fmt: skip
# https://rest.runpod.io/v1, TemplateCreateInput.
TEMPLATE = {
    "name": str, "imageName": str, "category": str, "isPublic": bool, "isServerless": bool, "containerDiskInGb": int,
    "volumeInGb": int, "volumeMountPath": str, "ports": list, "dockerEntrypoint": list, "dockerStartCmd": list,
    "env": dict, "readme": str,
}  # fmt: skip


def test_a_cluster_has_one_to_three_gpu_nodes_that_nothing_else_runs_on() -> None:
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("eksctl.io/v1alpha5", "ClusterConfig")
    assert set(CLUSTER) == {"apiVersion", "kind", "metadata", "iam", "addons", "managedNodeGroups"}
    groups = {group["name"]: group for group in CLUSTER["managedNodeGroups"]}
    assert all(set(group) <= NODE_GROUP for group in groups.values())
    gpu = groups["gpu"]
    assert (gpu["minSize"], gpu["maxSize"]) == (1, 3)
    assert gpu["instanceType"].split(".")[0] in ("g4dn", "g5")
    assert [taint["effect"] for taint in gpu["taints"]] == ["NoSchedule"]
    assert "taints" not in groups["cpu"], "what the cluster runs for itself has a node"
    assert gpu["maxSize"] >= resource("HorizontalPodAutoscaler", "vllm-server")["spec"]["maxReplicas"]


def test_the_tag_that_the_teardown_looks_for_is_the_clusters_name() -> None:
    name = CLUSTER["metadata"]["name"]
    assert CLUSTER["metadata"]["tags"] == {"tokgate/cluster": name}
    assert all(group["tags"] == {"tokgate/cluster": name} for group in CLUSTER["managedNodeGroups"])


def test_a_runpod_template_serves_what_the_cluster_serves() -> None:
    template = json.loads((DEPLOY / "runpod" / "template.json").read_text())
    assert {name: type(value) for name, value in template.items()} == TEMPLATE
    (container,) = resource("Deployment", "vllm-server")["spec"]["template"]["spec"]["containers"]
    assert template["imageName"] == container["image"]
    assert template["dockerEntrypoint"] == container["command"]
    assert template["dockerStartCmd"] == container["args"]
    assert template["ports"] == ["8000/http"]
    assert all(isinstance(value, str) for value in template["env"].values())
    assert template["env"]["VLLM_API_KEY"] == "{{ RUNPOD_SECRET_vllm_api_key }}", "a secret's name, and no key"
