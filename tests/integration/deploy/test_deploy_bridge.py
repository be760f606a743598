"""What operators copy: unit, manifests, alerts and dashboard of the bridge, each held against its own tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from rco.config.interop import load_interop
from rco.telemetry.signal import Kind
from rco.telemetry.signals import CATALOGUE

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "how-to" / "deploy-the-bridge.md"
KUBERNETES = "1.31"
EXPOSURE_MOST = 2.0


def series_of(expression: str) -> set[str]:
    """The names of series in a PromQL expression."""
    return set(re.findall(r"\b(?:svc_interop|rco)_[a-z0-9_]+", expression))


def known_series() -> dict[str, set[str]]:
    """Every series that the service gives, with its labels."""
    found: dict[str, set[str]] = {}
    for signal in CATALOGUE:
        labels = set(signal.labels)
        if signal.kind is Kind.HISTOGRAM:
            found |= {f"{signal.name}_bucket": labels | {"le"}}
            found |= {f"{signal.name}_{part}": labels for part in ("sum", "count")}
        else:
            found[signal.name] = labels
    return found


def labels_of(expression: str) -> set[str]:
    """The labels that an expression selects or groups by."""
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\bby\s*\(([^)]*)\)", expression)
    return set(selected) | {label.strip() for group in grouped for label in group.split(",")}


def check_expression(expression: str, where: str) -> None:
    known = known_series()
    names = series_of(expression)
    assert names, f"{where} asks for no series"
    assert names <= known.keys(), f"{where}: {sorted(names - known.keys())} are in no catalogue"
    allowed = {"job", "instance"}.union(*(known[name] for name in names))
    assert labels_of(expression) <= allowed, (
        f"{where}: {sorted(labels_of(expression) - allowed)} is no label of {names}"
    )


# -- systemd -----------------------------------------------------------------------------------------------------------


def test_the_unit_is_understood_and_holds_few_rights(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd/svc-interop.service").read_text()
    # The executable is wherever it was installed; here it is any that there is.
    there = tmp_path / "svc-interop.service"
    there.write_text(unit.replace("/opt/ron/bin/svc-interop", "/bin/true"))
    said = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", there],
        capture_output=True,
        text=True,
        check=True,
    )
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said.stdout)
    assert level is not None, said.stdout
    assert float(level[1]) <= EXPOSURE_MOST


def test_the_unit_names_the_command_as_it_is_documented() -> None:
    unit = (DEPLOY / "systemd/svc-interop.service").read_text()
    assert "ExecStart=/opt/ron/bin/svc-interop --config /etc/ron/svc-interop.toml\n" in unit
    assert "kill -HUP" in unit


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes/svc-interop.yaml").read_text()))


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [one for one in manifests() if one["kind"] == kind]
    return found


def container() -> dict[str, Any]:
    (only,) = of_kind("Deployment")["spec"]["template"]["spec"]["containers"]
    return only  # type: ignore[no-any-return]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_every_manifest_fits_its_schema_strictly(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_probes_reach_the_address_that_they_probe() -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    given = {one["name"]: one["value"] for one in container()["env"]}
    listening = {}
    for name in ("SVC_INTEROP_BIND_ADDR", "SVC_INTEROP_METRICS_ADDR"):
        host, _, port = given[name].rpartition(":")
        listening[int(port)] = host
    assert set(listening) == set(ports.values())
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container()[probe]["httpGet"]
        # The kubelet asks the address of the pod: what listens on loopback alone never answers it.
        assert listening[ports[asked["port"]]] == "0.0.0.0"
        assert asked["path"] in ("/healthz", "/readyz")
    assert container()["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_its_configuration_is_one(tmp_path: Path) -> None:
    file = tmp_path / "svc-interop.toml"
    file.write_text(of_kind("ConfigMap")["data"]["svc-interop.toml"])
    given = {one["name"]: one["value"] for one in container()["env"]} | {"STORE_URL": "postgresql://db/rco"}
    loaded = load_interop(file, given)
    assert loaded.settings.server.metrics_addr == "0.0.0.0:9909"
    assert loaded.settings.data_dir in {mount["mountPath"] for mount in container()["volumeMounts"]}
    assert loaded.settings.store.path == "env:STORE_URL"


def test_the_pod_holds_few_rights_and_its_image_is_pinned() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    held = container()["securityContext"]
    assert held["allowPrivilegeEscalation"] is False
    assert held["readOnlyRootFilesystem"] is True
    assert held["capabilities"] == {"drop": ["ALL"]}
    assert re.search(r"@sha256:[0-9a-f]{64}$", container()["image"])
    written = {mount["mountPath"] for mount in container()["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/var/lib/svc-interop", "/tmp"}


def test_every_selector_finds_the_pods_and_metrics_are_not_for_the_world() -> None:
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    services = [one for one in manifests() if one["kind"] == "Service"]
    selectors = [one["spec"]["selector"] for one in services]
    selectors += [of_kind(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    selectors.append(of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    assert all(selector.items() <= labels.items() for selector in selectors)
    (public,) = [one for one in services if one["metadata"]["name"] == "svc-interop"]
    assert [port["name"] for port in public["spec"]["ports"]] == ["http"]
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        names = {port["port"] for port in rule["ports"]}
        assert "from" in rule or names == {"http"}


def test_the_grace_period_covers_the_drain() -> None:
    pod = of_kind("Deployment")["spec"]["template"]["spec"]
    waited_s = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waited_s + 5


# -- alerts and dashboard ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def promtool() -> str:
    if shutil.which("promtool") is None:
        subprocess.run([ROOT / "scripts/need-promtool"], check=True, timeout=600)
    found = shutil.which("promtool")
    assert found is not None
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/svc-interop.rules.yaml").read_text())["groups"]
    return group["rules"]  # type: ignore[no-any-return]


def run_rules(promtool: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [promtool, "test", "rules", "svc-interop.test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_alerts_fire_and_stay_silent(promtool: str) -> None:
    done = run_rules(promtool, DEPLOY / "prometheus")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('{status=~"5.."}', '{status=~"[45].."}'),
        ("> 0.01", "> 0.021"),
        ("sum by (le, route)", "sum by (le)"),
        ("> 0.12", "> 0.09"),
        ("> 0.1\n", "> 0.01\n"),
        ("* 60 > 10", "* 60 > 5"),
        ("* 60 > 10", "> 10"),
        ("for: 5m", "for: 0m"),
    ],
)
def test_a_wrong_rule_is_found_by_them(promtool: str, tmp_path: Path, was: str, becomes: str) -> None:
    for name in ("svc-interop.rules.yaml", "svc-interop.test.yaml"):
        shutil.copy(DEPLOY / "prometheus" / name, tmp_path / name)
    file = tmp_path / "svc-interop.rules.yaml"
    text = file.read_text()
    assert was in text
    file.write_text(text.replace(was, becomes))
    assert run_rules(promtool, tmp_path).returncode != 0


@pytest.mark.parametrize("rule", rules(), ids=lambda one: str(one["alert"]))
def test_every_alert_asks_for_what_there_is_and_says_what_to_do(rule: dict[str, Any]) -> None:
    check_expression(rule["expr"], rule["alert"])
    assert {"severity", "owner"} <= rule["labels"].keys()
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == PAGE
    headings = re.findall(r"^#+ (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana/svc-interop.json").read_text())
    return [one for one in board["panels"] if one["type"] != "row"]


@pytest.mark.parametrize("panel", panels(), ids=lambda one: str(one["title"]))
def test_every_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        check_expression(target["expr"], panel["title"])


def test_the_golden_panels_are_there() -> None:
    asked = {name for panel in panels() for target in panel["targets"] for name in series_of(target["expr"])}
    assert asked >= {
        "svc_interop_requests_total",
        "svc_interop_rejected_total",
        "svc_interop_latency_seconds_bucket",
        "svc_interop_inflight",
        "svc_interop_queue_depth",
        "svc_interop_audit_drop_total",
        "svc_interop_brownout_active",
    }
    quantiles = {
        found
        for panel in panels()
        for target in panel["targets"]
        for found in re.findall(r"quantile\(([0-9.]+)", target["expr"])
    }
    assert quantiles >= {"0.5", "0.95", "0.99"}


def test_promtool_reads_every_expression_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    written = {"groups": [{"name": "panels", "rules": []}]}
    for number, panel in enumerate(panels()):
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*")
            written["groups"][0]["rules"].append({"record": f"panel:{number}:{target['refId']}", "expr": expression})  # type: ignore[attr-defined]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump(written))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
