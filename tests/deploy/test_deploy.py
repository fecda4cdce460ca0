"""What deploy/ says is so: its commands, settings, ports, paths and times are those of the gateway that it deploys."""

import json
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy.files import DEPLOY, ROOT, compose, dockerfile, objects, of_kind, seconds
from farebox.cli.environment import without_settings
from farebox.cli.root import app
from farebox.control.app import OWN
from farebox.node import patience_s
from farebox.settings import Settings, load, parse_address

OWN_IMAGES = {"farebox", "farebox:0.1.0"}
PINNED = re.compile(r"[\w./-]+:\d+(\.\d+)*-[a-z-]+|[\w./-]+@sha256:[0-9a-f]{64}")
GATEWAYS = ("gateway-1", "gateway-2")
INTERPOLATED = {"POSTGRES_PASSWORD": "secret", "FAREBOX_ADMIN_KEY": "an-admin-key-of-24-chars"}


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings; containers have none but theirs."""
    kept = without_settings(os.environ)
    for name in set(os.environ) - set(kept):
        monkeypatch.delenv(name)


def settings_of(file: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a container with this file and this environment has."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load(file).settings


def parses(arguments: list[str]) -> None:
    """The command line takes these."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    command.make_context(command.name, rest)


def container_environment(service: Mapping[str, Any]) -> dict[str, str]:
    """A service's environment with what whoever starts it has to give; names without a value are passed on where they are set."""
    found: dict[str, str] = {}
    for name, value in service["environment"].items():
        if value is not None:
            found[name] = re.sub(r"\$\{(\w+)[^}]*\}", lambda match: INTERPOLATED[match[1]], value)
    return found


# --- the image -------------------------------------------------------------------------------------------------------------------------


def test_the_image_is_built_of_files_that_exist_and_reach_the_build() -> None:
    """Every source of a COPY is there, and .dockerignore lets it through; nothing else is let through."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    passed = {line[1:] for line in lines if line.startswith("!")}
    copied = set()
    for stage in dockerfile():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from="):
                *sources, _ = rest.split()
                copied |= set(sources)
    assert all((ROOT / source).exists() for source in copied)
    assert copied == passed
    assert any(fnmatch("src/farebox/__pycache__", pattern.replace("**/", "*")) for pattern in lines[1:])


def test_images_are_pinned() -> None:
    """A version and a distribution, never `latest`; both stages of ours are of the same one."""
    arguments, *stages = dockerfile()
    assert [rest.split("=")[0] for word, rest in arguments] == ["PYTHON"]
    assert PINNED.fullmatch(arguments[0][1].split("=")[1])
    assert {stage[0][1].split()[0] for stage in stages} == {"${PYTHON}"}
    named = {service["image"] for service in compose()["services"].values()}
    for one in of_kind("StatefulSet"):
        pod = one["spec"]["template"]["spec"]
        named |= {container["image"] for container in (*pod["initContainers"], *pod["containers"])}
    assert named >= OWN_IMAGES
    assert all(PINNED.fullmatch(image) for image in named - OWN_IMAGES)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"farebox:{version}" in named


def test_what_is_installed_is_locked_with_hashes() -> None:
    """The lock file of the image holds what a gateway and its PostgreSQL store need, pinned as everywhere else."""
    build = " ".join(rest for word, rest in dockerfile()[1] if word == "RUN")
    assert "--require-hashes --only-binary :all:" in build
    locks = {name: (ROOT / "requirements" / f"{name}.txt").read_text() for name in ("base", "postgres", "dev")}
    pins = {name: set(re.findall(r"^([\w.-]+==\S+)", text, re.MULTILINE)) for name, text in locks.items()}
    assert pins["postgres"] == pins["base"] | {pin for pin in pins["dev"] if pin.startswith("asyncpg==")}


def test_the_image_runs_a_gateway_and_nothing_else() -> None:
    """No build tools and no package manager in its last stage, no root, a signal that lets calls end, a command that exists."""
    last = dockerfile()[-1]
    said = dict(last)
    runs = [rest for word, rest in last if word == "RUN"]
    assert not re.search(r"\b(pip|apt|apt-get|apk|gcc|curl)\b", " ".join(runs))
    assert said["USER"] == "10001:10001"
    assert said["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(said["ENTRYPOINT"]) == ["farebox"]
    parses(json.loads(said["CMD"]))
    check = json.loads(said["HEALTHCHECK"].partition(" CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "healthcheck", "exec")
    assert set(re.findall(r"'(/\w+)'", check[2])) == {"/healthz"} <= OWN
    assert "'127.0.0.1', 8080" in check[2]


def test_the_images_settings_are_those_of_its_ports_and_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything said, a container serves on the exposed ports and keeps everything in its volume."""
    settings = settings_of(DEPLOY / "farebox.toml", {}, monkeypatch)
    said = dict(dockerfile()[-1])
    assert said["EXPOSE"].split() == [settings.server.listen.split(":")[1], str(settings.server.admin_listen).split(":")[1]]
    assert said["VOLUME"] == str(settings.data_dir) == str(settings.store_path.parent)
    assert (said["WORKDIR"], "farebox.toml") == ("/etc/farebox", (DEPLOY / "farebox.toml").name)


# --- compose -----------------------------------------------------------------------------------------------------------------------------


def test_compose_runs_commands_that_exist() -> None:
    """Each service of our image is given a command that the command line takes; no service waits for one that is not there."""
    services = compose()["services"]
    for service in services.values():
        if service["image"] == "farebox":
            parses(service["command"])
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert set(service.get("depends_on", {})) <= set(services)


@pytest.mark.parametrize("name", GATEWAYS)
def test_compose_gateways_have_settings_that_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their environment is settings, all of them known; each has a volume of its own where the journal lies, and ports that are listened on."""
    services = compose()["services"]
    service = services[name]
    for passed_on in [variable for variable, value in service["environment"].items() if value is None]:
        assert passed_on.endswith("_API_KEY") or passed_on.startswith("FAREBOX_PROVIDERS__")
    extra = {"OPENAI_API_KEY": "sk-simulated", "FAREBOX_PROVIDERS__OPENAI__BASE_URL": "http://sim:9100/v1"}
    assert set(extra) < set(service["environment"])
    settings = settings_of(DEPLOY / "farebox.toml", {**container_environment(service), **extra}, monkeypatch)
    assert settings.store.url == "postgresql://farebox:secret@postgres:5432/farebox"
    assert settings.providers["openai"].base_url == "http://sim:9100/v1"
    inside = [port.rpartition(":")[2] for port in service["ports"]]
    assert inside == [settings.server.listen.split(":")[1], str(settings.server.admin_listen).split(":")[1]]
    (volume,) = service["volumes"]
    assert volume == f"{name}:{settings.data_dir}"
    assert name in compose()["volumes"]
    assert seconds(service["stop_grace_period"]) > patience_s(settings)
    assert settings.limits.shutdown_s_max >= settings.limits.request_s_max + settings.limits.drain_s_max


def test_compose_gateways_start_on_a_store_that_is_ready() -> None:
    """The database, then its schema, then the gateways, none of which waits for the other."""
    services = compose()["services"]
    assert services["upgrade"]["command"] == ["db", "upgrade"]
    assert services["upgrade"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in GATEWAYS:
        assert services[name]["depends_on"] == {"upgrade": {"condition": "service_completed_successfully"}}
    assert shlex.join(services["postgres"]["healthcheck"]["test"]).startswith("CMD pg_isready ")


def test_the_simulator_is_there_when_it_is_asked_for() -> None:
    """Behind a profile, on the port that the comment's base URL names."""
    sim = compose()["services"]["sim"]
    assert sim["profiles"] == ["sim"]
    assert parse_address(sim["command"][2], "sim") == ("0.0.0.0", 9100)
    assert "http://sim:9100/v1" in (DEPLOY / "compose.yaml").read_text()


# --- Kubernetes ------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pod() -> dict[str, Any]:
    (stateful,) = of_kind("StatefulSet")
    spec: dict[str, Any] = stateful["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def pod_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What a pod has: the file of the ConfigMap and the environment of the Secret, as their templates say."""
    (config,), (secret,) = of_kind("ConfigMap"), of_kind("Secret")
    assert list(config["data"]) == ["farebox.toml"]
    file = tmp_path / "farebox.toml"
    file.write_text(config["data"]["farebox.toml"])
    return settings_of(file, secret["stringData"], monkeypatch)


def test_pods_have_settings_that_work(pod_settings: Settings) -> None:
    """ConfigMap and Secret together are whole: a PostgreSQL store, a provider, an admin key, one process a pod."""
    assert pod_settings.store.url.startswith("postgresql://")
    assert pod_settings.providers
    assert pod_settings.admin_key is not None
    assert pod_settings.server.workers == 1


def test_pods_run_commands_that_exist(pod: dict[str, Any]) -> None:
    """The schema first, then the gateway; both with the settings and the volume."""
    upgrade, gateway = pod["initContainers"][0], pod["containers"][0]
    assert (upgrade["args"], gateway["args"]) == (["db", "upgrade"], ["serve"])
    for container in (upgrade, gateway):
        parses(container["args"])
        assert container["envFrom"] == [{"secretRef": {"name": of_kind("Secret")[0]["metadata"]["name"]}}]


def test_probes_ask_what_the_callers_address_answers(pod: dict[str, Any], pod_settings: Settings) -> None:
    """They ask `/healthz`: nobody is ended for draining, nor taken out while the ledger is away. Path and ports exist."""
    (gateway,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    server = pod_settings.server
    assert ports == {"calls": int(server.listen.split(":")[1]), "control": int(str(server.admin_listen).split(":")[1])}
    asked = {name: gateway[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "startupProbe": "/healthz", "readinessProbe": "/healthz", "livenessProbe": "/healthz",
    }  # fmt: skip
    assert {probe["path"] for probe in asked.values()} <= OWN
    assert {probe["port"] for probe in asked.values()} == {"calls"}


def test_a_pod_is_given_longer_than_the_longest_call(pod: dict[str, Any], pod_settings: Settings) -> None:
    """The longest stream, the reading on after its client left, and settling fit in the time before a pod is killed."""
    limits = pod_settings.limits
    assert limits.shutdown_s_max >= limits.request_s_max + limits.drain_s_max
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > before + patience_s(pod_settings)


def test_the_journal_survives_its_pod(pod: dict[str, Any], pod_settings: Settings) -> None:
    """The data folder is a volume of the pod's own, claimed by template and kept; every mount has its volume."""
    (stateful,) = of_kind("StatefulSet")
    claims = [claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]]
    known = {*claims, *(volume["name"] for volume in pod["volumes"])}
    (gateway,) = pod["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in gateway["volumeMounts"]}
    assert set(mounts.values()) <= known
    assert mounts[str(pod_settings.data_dir)] in claims
    assert mounts[dict(dockerfile()[-1])["WORKDIR"]] == "settings"
    assert set(stateful["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}


def test_services_and_budget_select_the_pods(pod: dict[str, Any]) -> None:
    """Labels match, ports have the pods' names, callers and the back office have services of their own."""
    (stateful,) = of_kind("StatefulSet")
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    names = {port["name"] for port in pod["containers"][0]["ports"]}
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind("Service")}
    assert stateful["spec"]["serviceName"] in services
    assert all(spec["selector"] == labels for spec in services.values())
    assert {name: [port["targetPort"] for port in spec["ports"]] for name, spec in services.items()} == {
        "farebox": ["calls"], "farebox-control": ["control"], "farebox-pods": ["control"],
    }  # fmt: skip
    assert names == {"calls", "control"}
    (budget,) = of_kind("PodDisruptionBudget")
    assert budget["spec"]["selector"]["matchLabels"] == stateful["spec"]["selector"]["matchLabels"] == labels
    assert stateful["spec"]["replicas"] > budget["spec"]["maxUnavailable"]


def test_pods_are_confined(pod: dict[str, Any]) -> None:
    """No root, no writing outside the volumes, no rights; and the user is the image's."""
    user = int(dict(dockerfile()[-1])["USER"].split(":")[0])
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == user
    for container in (*pod["initContainers"], *pod["containers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_every_object_has_its_kind_and_a_name_of_its_own() -> None:
    """Nothing is there twice, and no template of a secret holds one."""
    named = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects()]
    assert len(named) == len(set(named)) == 7
    for value in of_kind("Secret")[0]["stringData"].values():
        assert "REPLACE" in value or "PASSWORD" in value
