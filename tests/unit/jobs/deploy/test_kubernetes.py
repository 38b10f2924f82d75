"""The manifests, without a cluster: the RayJob by KubeRay's schema, and that names lead to what is there."""

import os
import re
import shlex
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from jobs.annotate.command import parse_arguments
from pipeline.config.job import load_job_config
from tests.shared_data import shared_file

ROOT = Path(__file__).resolve().parents[4]
FOLDER = ROOT / "jobs/deploy/kubernetes"


def documents(name: str) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if found]


@pytest.fixture(scope="module")
def rayjob() -> dict[str, Any]:
    [found] = documents("rayjob.yaml")
    return found


@pytest.fixture(scope="module")
def pod() -> dict[str, Any]:
    """Of the Job that submits."""
    [cronjob] = documents("cronjob.yaml")
    found: dict[str, Any] = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def crd() -> Draft7Validator:
    """KubeRay's schema of a RayJob, without fields that it does not name: Kubernetes would drop them silently."""
    text = shared_file("kuberay", "ray.io_rayjobs.yaml").read_text(encoding="utf-8")
    versions = yaml.load(text, Loader=yaml.CSafeLoader)["spec"]["versions"]
    [schema] = [version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == "v1"]
    return Draft7Validator(closed(schema))


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    is_open = found.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in found
    if isinstance(found.get("properties"), dict) and found.get("type") == "object" and not is_open:
        found["additionalProperties"] = False
    return found


def test_the_rayjob_is_valid(rayjob: dict[str, Any], crd: Draft7Validator) -> None:
    assert [error.message for error in crd.iter_errors(rayjob)] == []


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["spec", "backoffLimits"], 2),
        (["spec", "preRunningDeadlineSeconds"], 0),
        (["spec", "rayClusterSpec", "authOptions", "mode"], "on"),
        (["spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        (["spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "automountToken"], False),
    ],
)
def test_a_mistake_in_it_would_be_found(
    keys: list[str], value: object, rayjob: dict[str, Any], crd: Draft7Validator
) -> None:
    wrong = deepcopy(rayjob)
    place = wrong
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    assert not crd.is_valid(wrong)


def test_deletion_rules_are_as_kuberay_wants_them(rayjob: dict[str, Any]) -> None:
    spec = rayjob["spec"]
    assert not {"shutdownAfterJobFinishes", "ttlSecondsAfterFinished"} & spec.keys()
    assert spec["deletionStrategy"].keys() == {"deletionRules"}
    order = ["DeleteWorkers", "DeleteCluster", "DeleteSelf"]
    by_condition: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for rule in spec["deletionStrategy"]["deletionRules"]:
        condition = dict(rule["condition"])
        ttl_s = condition.pop("ttlSeconds")
        [status] = condition.items()
        by_condition.setdefault(status, []).append((order.index(rule["policy"]), ttl_s))
    assert by_condition.keys() == {
        ("jobStatus", "SUCCEEDED"),
        ("jobStatus", "FAILED"),
        ("jobDeploymentStatus", "Failed"),
    }
    for rules in by_condition.values():
        # One rule for each policy, and what is deleted with something else is not deleted after it.
        assert len({policy for policy, _ in rules}) == len(rules)
        assert sorted(rules) == sorted(rules, key=lambda rule: rule[1])


def test_tokens_are_on_and_the_version_is_that_of_the_image(rayjob: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    lock = (ROOT / "jobs/deploy/requirements.lock").read_text(encoding="utf-8")
    assert f"\nray=={cluster['rayVersion']} \\\n" in lock


def test_the_head_takes_no_tasks_and_is_not_on_a_spot_node(rayjob: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert "nodeSelector" not in cluster["headGroupSpec"]["template"]["spec"]
    [workers] = cluster["workerGroupSpecs"]
    assert "spot" in workers["template"]["spec"]["nodeSelector"].values()
    # A deletion of workers alone is refused for clusters that scale.
    assert "enableInTreeAutoscaling" not in cluster
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"]


def test_its_command_is_understood_and_its_job_is_valid(rayjob: dict[str, Any]) -> None:
    python, *module, path = shlex.split(rayjob["spec"]["entrypoint"])
    assert [python, *module] == ["python", "-m", "jobs.annotate"]
    options = parse_arguments([path])
    head = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [mount] = [mount for mount in head["containers"][0]["volumeMounts"] if mount["name"] == "job"]
    assert options.job.parent == Path(mount["mountPath"])
    job = load_job_config(FOLDER / options.job.name, options.overrides)
    [models] = [mount for mount in head["containers"][0]["volumeMounts"] if mount["name"] == "models"]
    assert job.model.path.startswith(f"{models['mountPath']}/")


def test_names_lead_to_what_is_there(rayjob: dict[str, Any], pod: dict[str, Any]) -> None:
    [kustomization] = documents("kustomization.yaml")
    assert kustomization["resources"] == ["rbac.yaml", "cronjob.yaml"]
    maps = {each["name"]: each["files"] for each in kustomization["configMapGenerator"]}
    assert all((FOLDER / file).is_file() for files in maps.values() for file in files)
    [volume] = pod["volumes"]
    [container] = pod["containers"]
    [mount] = container["volumeMounts"]
    script = Path(container["command"][1])
    assert (mount["name"], str(script.parent)) == (volume["name"], mount["mountPath"])
    assert script.name in maps[volume["configMap"]["name"]]
    text = (FOLDER / script.name).read_text(encoding="utf-8")
    assert f"{mount['mountPath']}/rayjob.yaml" in text
    cluster = rayjob["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    named = {v["configMap"]["name"] for spec in (pod, *pods) for v in spec["volumes"] if "configMap" in v}
    assert named == maps.keys()
    for spec in (pod, *pods):
        mounted = {mount["name"] for each in spec["containers"] for mount in each["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
    accounts = {each["metadata"]["name"] for each in documents("rbac.yaml") if each["kind"] == "ServiceAccount"}
    assert {spec["serviceAccountName"] for spec in (pod, *pods)} == accounts


def test_the_nightly_job_may_do_what_its_script_does_and_nothing_else() -> None:
    by_kind = {each["kind"]: each for each in documents("rbac.yaml")}
    assert by_kind["Role"]["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}
    ]
    binding = by_kind["RoleBinding"]
    assert binding["roleRef"]["name"] == by_kind["Role"]["metadata"]["name"]
    script = (FOLDER / "submit_and_wait.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"^[^#]*?kubectl (\w+)", script, re.MULTILINE)) == {"create", "get"}


def test_one_night_at_a_time_and_failures_are_told_from_lost_pods() -> None:
    [cronjob] = documents("cronjob.yaml")
    assert cronjob["spec"]["concurrencyPolicy"] == "Forbid"
    job = cronjob["spec"]["jobTemplate"]["spec"]
    fail, ignore = job["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [3])
    assert fail["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert ignore["action"] == "Ignore"
    # Needed for a podFailurePolicy.
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_no_pod_runs_as_root(rayjob: dict[str, Any], pod: dict[str, Any]) -> None:
    cluster = rayjob["spec"]["rayClusterSpec"]
    for spec in (pod, *(g["template"]["spec"] for g in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]))):
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False


KUBECTL = """#!/bin/sh
echo "$@" >>"$STATE/calls"
case "$*" in
    create*) cat >"$STATE/created" ;;
    *"-o name") [ ! -e "$STATE/created" ] || echo rayjob.ray.io/x ;;
    *)
        line=$(head -n 1 "$STATE/answers")
        sed -i 1d "$STATE/answers"
        [ "$line" != "no answer" ] || exit 1
        printf '%s' "$line"
        ;;
esac
"""


def submitted(folder: Path, *answers: str, is_there: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run the script with a stand-in for kubectl that gives these answers about the status."""
    (folder / "kubectl").write_text(KUBECTL, encoding="utf-8")
    (folder / "kubectl").chmod(0o755)
    (folder / "answers").write_text("\n".join(answers) + "\n", encoding="utf-8")
    if is_there:
        (folder / "created").write_text("by an earlier pod", encoding="utf-8")
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "STATE": str(folder),
        "JOB_NAME": "xlmr-nightly-29412345",
        "TEMPLATE": str(FOLDER / "rayjob.yaml"),
        "POLL_S": "0.01",
    }
    return subprocess.run(
        ["sh", str(FOLDER / "submit_and_wait.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


RUNNING = "Running RUNNING ()"


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("Complete SUCCEEDED (Job finished.)", 0),
        ("Failed FAILED (Job entrypoint command failed with exit code 3)", 3),
        ("Failed  (DeadlineExceeded)", 3),
        ("Complete STOPPED ()", 3),
        ("ValidationFailed  (a field is wrong)", 3),
        ("", 3),
    ],
)
def test_the_job_waits_for_its_rayjob(last: str, code: int, tmp_path: Path, rayjob: dict[str, Any]) -> None:
    done = submitted(
        tmp_path, "  ()", "Initializing  ()", RUNNING, "no answer", RUNNING, "Retrying FAILED ()", last
    )
    assert done.returncode == code, done
    [created] = yaml.safe_load_all((tmp_path / "created").read_text(encoding="utf-8"))
    assert created == rayjob | {"metadata": rayjob["metadata"] | {"name": "xlmr-nightly-29412345"}}
    assert done.stdout.count(RUNNING) == 1
    assert done.stdout.splitlines()[-1] == f"rayjob xlmr-nightly-29412345: {last or 'deleted'}"


def test_a_pod_that_is_started_again_creates_no_second_one(tmp_path: Path) -> None:
    assert submitted(tmp_path, RUNNING, "Complete SUCCEEDED ()", is_there=True).returncode == 0
    assert "create" not in (tmp_path / "calls").read_text(encoding="utf-8")
