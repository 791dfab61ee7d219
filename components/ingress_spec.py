"""The spec of the Ingress before the receiver of webhooks: TLS only, and one path."""

from typing import Any

from components.names import WEBHOOK_PATH, WEBHOOK_PORT, WEBHOOK_SERVICE
from config.settings import Ingress


def ingress_spec(ingress: Ingress) -> dict[str, Any]:
    """Build the spec.

    Args:
        ingress: The settings of the way in.
    """
    backend = {"service": {"name": WEBHOOK_SERVICE, "port": {"number": WEBHOOK_PORT}}}
    spec: dict[str, Any] = {
        "tls": [{"hosts": [ingress.host], "secretName": ingress.tls_secret_name}],
        "rules": [{"host": ingress.host, "http": {"paths": [{"path": WEBHOOK_PATH, "pathType": "Exact", "backend": backend}]}}],
    }
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    return spec
