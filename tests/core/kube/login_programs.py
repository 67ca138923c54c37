"""Kubeconfigs whose user has a login program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from core.kube.cluster import Access


def with_program(access: Access, command: str, *arguments: str) -> Access:
    """Put a login program into a kubeconfig."""
    path = Path(access.kubeconfig)
    document = yaml.safe_load(path.read_text())
    document["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": command,
            "args": list(arguments),
            "interactiveMode": "Never",
        }
    }
    path.write_text(json.dumps(document))
    return access


def with_token_from(file: Path, access: Access, note_in: Path | None = None) -> Access:
    """Put a program in that gives the token in a file, and fails where that is empty. Each run of
    it adds a letter to ``note_in``.
    """
    program = "\n".join(
        [
            "import json, pathlib",
            f"print(end='x', file=open({str(note_in)!r}, 'a'))" if note_in else "",
            f"token = pathlib.Path({str(file)!r}).read_text()",
            "assert token, 'Reauthentication required.'",
            "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1beta1',",
            "                  'kind': 'ExecCredential', 'status': {'token': token}}))",
        ]
    )
    return with_program(access, sys.executable, "-c", program)
