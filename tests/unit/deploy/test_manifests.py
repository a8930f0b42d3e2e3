"""The Kubernetes manifests: valid for the cluster's version, complete, and fitting each other."""

from __future__ import annotations

import json
import re
from typing import Any

import kubernetes_validate
import pytest

from tests.unit.deploy.files import DEPLOY, KUBERNETES, documents, kustomizations, pod_of, resource, resources

pytestmark = pytest.mark.unit

VERSION = documents(DEPLOY / "eksctl" / "cluster.yaml")[0]["metadata"]["version"]
# Kubernetes has no schema of these; what is used of them is checked below.
OWN_SCHEMA = ("ServiceMonitor",)
ALL = [(where, item) for where, item in resources() if item["kind"] not in OWN_SCHEMA]
PODS = [(where, pod) for where, item in resources() if (pod := pod_of(item)) is not None]


def named(cases: list[Any]) -> list[str]:
    return [f"{where}-{item['kind']}" for where, item in cases]


@pytest.mark.parametrize("item", [item for _, item in ALL], ids=named(ALL))
def test_a_manifest_is_valid(item: dict[str, Any]) -> None:
    """By the schema of the cluster's own version, which knows of no other field."""
    kubernetes_validate.validate(item, VERSION, strict=True)


def test_the_storage_class_is_valid() -> None:
    (item,) = documents(DEPLOY / "eksctl" / "storage-class.yaml")
    kubernetes_validate.validate(item, VERSION, strict=True)
    assert item["metadata"]["name"] == "efs"


def test_the_validator_refuses_a_field_that_is_no_field() -> None:
    item = json.loads(json.dumps(resource("Deployment", "vllm-server")))
    item["spec"]["template"]["spec"]["containers"][0]["livelinessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(item, VERSION, strict=True)


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda folder: folder.name)
def test_a_kustomization_names_every_manifest_of_its_folder_and_no_other(folder: Any) -> None:
    said = kustomizations()[folder]
    generated = [name for generator in said.get("configMapGenerator", []) for name in generator["files"]]
    patches = [patch["path"] for patch in said.get("patches", [])]
    named = [*said["resources"], *generated, *patches]
    assert all((folder / name).exists() for name in named)
    others = {"kustomization.yaml", "prometheus-adapter-values.yaml", "reader.json"}
    assert {path.name for path in folder.iterdir()} - others <= set(named)
    known = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "patches", "images"}
    assert set(said) <= known


def test_a_patch_meets_what_it_patches() -> None:
    """Kustomize finds it by kind, name and namespace."""
    (patch,) = documents(KUBERNETES / "vllm-public" / "load-balancer.yaml")
    target = resource(patch["kind"], patch["metadata"]["name"])
    kubernetes_validate.validate(
        {
            **target,
            "spec": {**target["spec"], **patch["spec"]},
            "metadata": {**target["metadata"], **patch["metadata"]},
        },
        VERSION,
        strict=True,
    )
    assert patch["metadata"]["namespace"] == kustomizations()[KUBERNETES / "vllm"]["namespace"]


def test_every_service_finds_the_pods_and_their_port() -> None:
    template = resource("Deployment", "vllm-server")["spec"]["template"]
    ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    for name in ("vllm-server", "vllm-server-one"):
        spec = resource("Service", name)["spec"]
        assert spec["selector"].items() <= template["metadata"]["labels"].items()
        assert {port["targetPort"] for port in spec["ports"]} <= ports
    assert resource("Service", "vllm-server-one")["spec"]["sessionAffinity"] == "ClientIP"


def test_a_server_is_alive_only_by_its_own_health() -> None:
    container = resource("Deployment", "vllm-server")["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 900, "the first start fetches and compiles"


def test_replicas_on_nodes_of_their_own_can_share_their_volumes() -> None:
    """A ReadWriteOnce volume is on one node, and the second replica would never start."""
    assert resource("HorizontalPodAutoscaler", "vllm-server")["spec"]["maxReplicas"] > 1
    claims = [item for _, item in resources() if item["kind"] == "PersistentVolumeClaim"]
    assert {tuple(claim["spec"]["accessModes"]) for claim in claims} == {("ReadWriteMany",)}
    assert {claim["spec"]["storageClassName"] for claim in claims} == {"efs"}
    names = {claim["metadata"]["name"] for claim in claims}
    for _, pod in PODS:
        wanted = {volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if _is_claim(volume)}
        assert wanted <= names


def _is_claim(volume: dict[str, Any]) -> bool:
    return "persistentVolumeClaim" in volume


@pytest.mark.parametrize("pod", [pod for _, pod in PODS], ids=[where for where, _ in PODS])
def test_every_mount_has_its_volume_and_every_image_its_version(pod: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in pod["volumes"]}
    tagged = {image["name"]: image["newTag"] for image in kustomizations()[KUBERNETES / "gate"]["images"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        image = container["image"]
        assert re.search(r":v?\d+\.\d+\.\d+", f"{image}:{tagged[image]}" if image in tagged else image)


def test_nodes_and_pods_use_the_same_labels_and_taints() -> None:
    groups = documents(DEPLOY / "eksctl" / "cluster.yaml")[0]["managedNodeGroups"]
    labels = [group["labels"].items() for group in groups]
    tainted = {
        (group["labels"]["tokgate/device"], taint["key"]) for group in groups for taint in group.get("taints", [])
    }
    for _, pod in PODS:
        selector = pod["nodeSelector"]
        assert any(selector.items() <= label for label in labels)
        tolerated = {toleration["key"] for toleration in pod.get("tolerations", [])}
        assert {key for device, key in tainted if device == selector["tokgate/device"]} <= tolerated


@pytest.mark.parametrize("name", ["gate-gpu", "gate-serving"])
def test_a_gate_runs_once_and_cannot_write_its_baselines(name: str) -> None:
    spec = resource("CronJob", name)["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never"), "a gate is not rolled again until it passes"
    assert job["activeDeadlineSeconds"] > 0
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not any("baselines" in mount["mountPath"] for mount in container["volumeMounts"])
    assert "--perf-require-baseline" in container["args"]
    assert "--perf-profile=nightly" in container["args"]


def test_the_serving_gate_measures_one_replica_of_the_server() -> None:
    (container,) = pod_of(resource("CronJob", "gate-serving"))["containers"]
    (url,) = [word.split("=", 1)[1] for word in container["args"] if word.startswith("--perf-base-url=")]
    service, namespace = url.removeprefix("http://").split(".")[:2]
    assert resource("Service", service)["spec"]["sessionAffinity"] == "ClientIP"
    assert namespace == kustomizations()[KUBERNETES / "vllm"]["namespace"]
    (key,) = [word.split("=", 1)[1] for word in container["args"] if word.startswith("--perf-api-key-env=")]
    assert key in {entry["name"] for entry in container["env"]}


def test_the_monitor_reads_the_service_once() -> None:
    """monitoring.coreos.com/v1, without a schema here: the fields that are used, and that they meet one service."""
    monitor = resource("ServiceMonitor", "vllm-server")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert set(endpoint) == {"port", "path", "interval"}
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = [item for _, item in resources() if item["kind"] == "Service"]
    (found,) = [item for item in services if wanted <= item["metadata"]["labels"].items()]
    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}


def test_the_autoscaler_asks_for_the_metric_that_the_adapter_makes() -> None:
    (metric,) = resource("HorizontalPodAutoscaler", "vllm-server")["spec"]["metrics"]
    (values,) = documents(KUBERNETES / "vllm" / "prometheus-adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    assert set(rule) == {"seriesQuery", "resources", "name", "metricsQuery"}
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"]
    (series,) = re.findall(r"^[\w:]+", rule["seriesQuery"])
    assert re.fullmatch(rule["name"]["matches"], series)
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}
