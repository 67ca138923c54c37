"""What the docker command left in its folder: logins, and which engine it uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.image.errors import CredentialsError, EngineError
from core.text import harmless

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}


def config_path(environment: Mapping[str, str]) -> Path:
    """Return where the Docker config is, or would be."""
    return _folder(environment) / "config.json"


def read_config(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the Docker config, empty where there is none.

    Raises:
        CredentialsError: it cannot be read. What it holds is in no exception.
    """
    path = config_path(environment)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialsError(
            f"The Docker config {path} cannot be read: {error.strerror}.",
            "Make it readable for this user, or set DOCKER_CONFIG to another folder.",
        ) from None
    except (ValueError, RecursionError):
        # Without its cause: a parser's error carries the text that it parsed.
        raise malformed(path, "it is no JSON") from None
    if not isinstance(document, dict):
        raise malformed(path, "it is no JSON object")
    for section in ("auths", "credHelpers"):
        if not isinstance(document.get(section) or {}, dict):
            raise malformed(path, f"its {section} is no object")
    return document


def malformed(path: Path, why: str) -> CredentialsError:
    """Return what is said of a config that cannot be used."""
    return CredentialsError(
        f"The Docker config {path} cannot be used: {why}.",
        "Mend it, log in again with docker login, or set DOCKER_CONFIG to another folder.",
    )


def proxy_arguments(environment: Mapping[str, str], address: str) -> dict[str, str]:
    """Return the build arguments for the proxies that the config has for the engine at ``address``.

    The engine knows them by name: they are in no layer, and no part of what an image is.

    Raises:
        CredentialsError: the Docker config cannot be read.
    """
    proxies = read_config(environment).get("proxies")
    chosen = proxies.get(address, proxies.get("default")) if isinstance(proxies, dict) else None
    if not isinstance(chosen, dict):
        return {}
    arguments = {}
    for key, variable in _PROXIES.items():
        if isinstance(value := chosen.get(key), str) and value:
            arguments[variable] = arguments[variable.lower()] = value
    return arguments


def engine_address(environment: Mapping[str, str]) -> str:
    """Return where the engine is that the docker command would use.

    Raises:
        CredentialsError: the Docker config cannot be read.
        EngineError: the chosen Docker context names no engine.
    """
    if address := environment.get("DOCKER_HOST"):
        return address
    chosen = environment.get("DOCKER_CONTEXT") or read_config(environment).get("currentContext")
    if not chosen or chosen == "default":
        return DEFAULT_ENGINE
    name = str(chosen)
    # The docker command's own way to make a folder's name of it.
    identity = hashlib.sha256(name.encode()).hexdigest()
    path = _folder(environment) / "contexts/meta" / identity / "meta.json"
    try:
        host = json.loads(path.read_text(encoding="utf-8"))["Endpoints"]["docker"]["Host"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        host = None
    if not isinstance(host, str) or not host:
        raise EngineError(
            f"The Docker context {harmless(name)[:100]} names no container engine.",
            "Choose another (docker context ls, docker context use NAME), or set DOCKER_HOST.",
        )
    return host


def _folder(environment: Mapping[str, str]) -> Path:
    if folder := environment.get("DOCKER_CONFIG"):
        return Path(folder)
    home = environment.get("HOME")
    return (Path(home) if home else Path.home()) / ".docker"
