"""etcd, the API server, the controller manager and the scheduler of the built-in node."""

import ssl
import time
import urllib.error
import urllib.request

from node import network, processes
from node.binaries import program
from node.locations import kubeconfig, state_folder
from node.pki import Authority, signing_key

API_SERVER = f"https://{network.NODE_ADDRESS}:6443"
READY_SECONDS = 120.0
"""How long the API server may take to say that it is ready; 6 s is usual."""

NODE_NAME = "coderun-node"


def authority() -> Authority:
    """The node's certificate authority."""
    return Authority(state_folder() / "pki")


def start() -> None:
    """Start the control plane and wait until the API server is ready.

    Raises ProcessError with the end of the API server's log.
    """
    pki = authority()
    state = state_folder()
    server_names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        "127.0.0.1",
        network.NODE_ADDRESS,
        network.API_SERVICE_ADDRESS,
    )
    api_certificate, api_key = pki.issue("kube-apiserver", "kube-apiserver", (), server_names)
    client_certificate, client_key = pki.issue("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",))
    accounts = signing_key(pki.folder)
    pki.kubeconfig(kubeconfig(), API_SERVER, "admin", "kubernetes-admin", "system:masters")
    etcd_certificate, etcd_key = pki.issue("etcd", "etcd", (), ("127.0.0.1",))
    ca = str(pki.certificate_file)

    processes.start(
        "etcd",
        network.inside(
            str(program("etcd")),
            f"--data-dir={state}/etcd",
            "--listen-client-urls=https://127.0.0.1:2379",
            "--advertise-client-urls=https://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            f"--cert-file={etcd_certificate}",
            f"--key-file={etcd_key}",
            "--client-cert-auth",
            f"--trusted-ca-file={ca}",
            # The node is thrown away with its data: durability against power loss buys nothing.
            "--unsafe-no-fsync",
            "--logger=zap",
            "--log-level=warn",
        ),
    )
    processes.start(
        "kube-apiserver",
        network.inside(
            str(program("kube-apiserver")),
            f"--advertise-address={network.NODE_ADDRESS}",
            "--bind-address=0.0.0.0",
            "--secure-port=6443",
            f"--service-cluster-ip-range={network.SERVICE_CIDR}",
            "--etcd-servers=https://127.0.0.1:2379",
            f"--etcd-cafile={ca}",
            f"--etcd-certfile={client_certificate}",
            f"--etcd-keyfile={client_key}",
            f"--client-ca-file={ca}",
            f"--tls-cert-file={api_certificate}",
            f"--tls-private-key-file={api_key}",
            f"--kubelet-client-certificate={client_certificate}",
            f"--kubelet-client-key={client_key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts}",
            f"--service-account-signing-key-file={accounts}",
            "--v=1",
        ),
    )
    _wait_until_ready()
    manager = pki.kubeconfig(
        pki.folder / "controller-manager.kubeconfig",
        API_SERVER,
        "controller-manager",
        "system:kube-controller-manager",
    )
    processes.start(
        "kube-controller-manager",
        network.inside(
            str(program("kube-controller-manager")),
            f"--kubeconfig={manager}",
            f"--authentication-kubeconfig={manager}",
            f"--authorization-kubeconfig={manager}",
            f"--root-ca-file={ca}",
            f"--service-account-private-key-file={accounts}",
            "--use-service-account-credentials=true",
            f"--cluster-cidr={network.POD_CIDR}",
            "--allocate-node-cidrs=true",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--v=1",
        ),
    )
    scheduler = pki.kubeconfig(pki.folder / "scheduler.kubeconfig", API_SERVER, "scheduler", "system:kube-scheduler")
    processes.start(
        "kube-scheduler",
        network.inside(
            str(program("kube-scheduler")),
            f"--kubeconfig={scheduler}",
            f"--authentication-kubeconfig={scheduler}",
            f"--authorization-kubeconfig={scheduler}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--v=1",
        ),
    )


def _wait_until_ready() -> None:
    context = ssl.create_default_context(cafile=str(authority().certificate_file))
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            url = f"{API_SERVER}/readyz"
            with urllib.request.urlopen(url, timeout=5, context=context):  # noqa: S310 - an https address of ours
                return
        except (urllib.error.URLError, OSError):
            pass
        if not processes.running("kube-apiserver") or time.monotonic() > deadline:
            raise processes.ProcessError(
                "the API server is not ready. The end of"
                f" {processes.log_file('kube-apiserver')}:\n"
                + processes.last_lines("kube-apiserver")
                + "\nand of etcd's log:\n"
                + processes.last_lines("etcd")
                + "\nRemedy: `make down`, then `make up`."
            )
        time.sleep(0.3)


PROGRAMS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
"""In the order in which they are stopped."""
