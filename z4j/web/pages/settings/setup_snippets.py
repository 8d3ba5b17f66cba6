# SPDX-License-Identifier: AGPL-3.0-or-later
"""The lines that connect an application: install, connection string, code, and the same for containers and service managers. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import Final
from urllib.parse import urlsplit

ENGINES: Final = {
    "celery": "import z4j_celery\nz4j_celery.install(app)  # below: app = Celery(…)",
    "rq": "import z4j_rq\nz4j_rq.install()  # in the module of your tasks",
    "dramatiq": "import z4j_dramatiq\nz4j_dramatiq.install(broker)",
    "huey": "import z4j_huey\nz4j_huey.install(huey)",
    "arq": "import z4j_arq\nz4j_arq.install(WorkerSettings)",
    "taskiq": "import z4j_taskiq\nz4j_taskiq.install(broker)",
    "apscheduler": "import z4j_apscheduler\nz4j_apscheduler.install(scheduler)",
}
FRAMEWORKS: Final = {
    "none": "",
    "django": 'INSTALLED_APPS = [\n    # …\n    "z4j_django",\n]',
    "flask": "from z4j_flask import Z4J\nZ4J(app)  # below: app = Flask(…)",
    "fastapi": "import z4j_fastapi\nz4j_fastapi.install(app)  # below: app = FastAPI(…)",
}
DEFAULT_ENVIRONMENT: Final = "production"
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Target:
    """What is connected. `url` is the connection string; `base` the address of this server (https://host:port); `fingerprint` that of a
    certificate without a CA, "" if installers trust it anyway; `token` reads the packages."""

    app: str
    engine: str
    framework: str
    environment: str
    url: str
    base: str
    token: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines to paste. `has_url` if they contain the connection string, to which a browser may add the key of the app."""

    title: str
    text: str
    note: str = ""
    has_url: bool = False


def is_environment(text: str) -> bool:
    """Whether the name of an environment needs no quotes anywhere."""
    return bool(re.fullmatch(r"[\w.-]+", text))


def is_host(text: str) -> bool:
    """Whether a Host header may become part of lines that a user pastes into a shell."""
    if not _HOST.fullmatch(text):
        return False
    try:
        parts = urlsplit(f"//{text}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535, or no address in the brackets
        return False


def with_port(host: str, *, is_tls: bool) -> str:
    """Returns a Host header with its port: a browser leaves out 443 and 80, and an agent would use 7700."""
    return host if urlsplit(f"//{host}").port else f"{host}:{443 if is_tls else 80}"


def packages(target: Target) -> tuple[str, ...]:
    """Returns the packages to install."""
    adapter = f"z4j-{target.engine}"
    return (adapter, f"z4j-{target.framework}") if target.framework != "none" else (adapter,)


def code(target: Target) -> str:
    """Returns the lines of code. Django finds the project's Celery apps automatically."""
    parts = [FRAMEWORKS[target.framework]]
    if (target.framework, target.engine) != ("django", "celery"):
        parts.append(ENGINES[target.engine])
    return "\n\n".join(part for part in parts if part)


def three_lines(target: Target) -> tuple[Block, ...]:
    """Returns the lines for all engines: install, environment, code."""
    return (
        Block("1. Install from this appliance", install(target), "In the environment of the application. The token reads packages only."),
        Block("2. Set the connection string", variables(target, "export "), "In the environment of every worker and producer.", True),
        Block("3. Add to your code", code(target)),
    )


def variables(target: Target, prefix: str = "") -> str:
    """Returns the variables as lines of a shell."""
    lines = [f"{prefix}Z4J_URL={quote(target.url)}"]
    if target.environment != DEFAULT_ENVIRONMENT:
        lines.append(f"{prefix}Z4J_ENVIRONMENT={quote(target.environment)}")
    return "\n".join(lines)


def install(target: Target) -> str:
    """Returns the lines of a shell: the certificate, checked against its fingerprint; the token in a netrc file; pip with this index
    alone."""
    lines, trust = [], ""
    if target.fingerprint:
        lines.append(fetch_certificate(target))
        # For one line alone: an application that is started in this shell would trust no other server.
        trust = 'PIP_CERT="$PWD/z4j.pem" SSL_CERT_FILE="$PWD/z4j.pem" REQUESTS_CA_BUNDLE="$PWD/z4j.pem" '
    lines.append(f"(umask 077; echo {quote(f'machine {urlsplit(target.base).hostname} login z4j password {target.token}')} > z4j.netrc)")
    lines.append(f'{trust}NETRC="$PWD/z4j.netrc" pip install --index-url {target.base}/simple/ {" ".join(packages(target))}')
    return "\n".join(lines)


def fetch_certificate(target: Target) -> str:
    """Returns a line that stores the certificate of the server if it has the right fingerprint, and fails otherwise."""
    parts = urlsplit(target.base)
    digest = target.fingerprint.replace(":", "").lower()
    return (
        "python3 -c 'import hashlib, ssl, sys; p = ssl.get_server_certificate((sys.argv[1], int(sys.argv[2]))); "
        'hashlib.sha256(ssl.PEM_cert_to_DER_cert(p)).hexdigest() == sys.argv[3] or sys.exit("another certificate: not the z4j server"); '
        f'open("z4j.pem", "w").write(p)\' {quote(parts.hostname or "")} {parts.port or 443} {digest}'
    )


def variants(target: Target) -> tuple[Block, ...]:
    """Returns the same for containers and service managers. No secret is in an image layer or on a command line that others can read."""
    name = re.sub(r"[^a-z0-9-]+", "-", target.app.lower()).strip("-") or "app"
    extra = "" if target.environment == DEFAULT_ENVIRONMENT else f"\nZ4J_ENVIRONMENT={target.environment}"
    certificate = "COPY z4j.pem /etc/ssl/z4j.pem\n" if target.fingerprint else ""
    trust = "PIP_CERT=/etc/ssl/z4j.pem REQUESTS_CA_BUNDLE=/etc/ssl/z4j.pem " if target.fingerprint else ""
    dockerfile = (
        f"# syntax=docker/dockerfile:1\n{certificate}"
        "RUN --mount=type=secret,id=z4j_netrc,target=/run/z4j.netrc \\\n"
        f"    NETRC=/run/z4j.netrc {trust}\\\n    pip install --index-url {target.base}/simple/ {' '.join(packages(target))}"
    )
    return (
        Block(
            "Dockerfile", dockerfile,
            "Build with --secret id=z4j_netrc,src=z4j.netrc (made by the lines of step 1). Give Z4J_URL to the container when it starts, "
            "never to the build.",
        ),
        Block(
            "systemd", f"(umask 077; cat > /etc/z4j-{name}.env) <<'END'\nZ4J_URL={target.url}{extra}\nEND\n"
            f"mkdir -p /etc/systemd/system/SERVICE.service.d\n"
            f"printf '[Service]\\nEnvironmentFile=/etc/z4j-{name}.env\\n' > /etc/systemd/system/SERVICE.service.d/z4j.conf\n"
            "systemctl daemon-reload && systemctl restart SERVICE",
            "Replace SERVICE with the unit of the worker.", True,
        ),
        Block(
            "Kubernetes", f"kubectl create secret generic z4j-{name} --from-file=Z4J_URL=/dev/stdin <<'END'\n{target.url}\nEND\n"
            f"kubectl set env deployment/WORKER --from=secret/z4j-{name}"
            + (f"\nkubectl set env deployment/WORKER Z4J_ENVIRONMENT={quote(target.environment)}" if extra else ""),
            "Replace WORKER with the deployment.", True,
        ),
        Block(
            "Procfile", f"# .env, mode 600, not in version control\nZ4J_URL={target.url}{extra}",
            "foreman and honcho read .env beside the Procfile; the Procfile itself does not change.", True,
        ),
    )  # fmt: skip
