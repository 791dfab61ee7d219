"""containerd, the kubelet and kube-proxy of the built-in node."""

import json
import subprocess
import time
from pathlib import Path

from node import network, processes
from node.binaries import program
from node.control_plane import API_SERVER, NODE_NAME, authority
from node.locations import state_folder

SANDBOX_IMAGE = "coderun.local/pause:dev"
CONTAINERD_SECONDS = 60.0
"""How long containerd may take until it answers."""

PROGRAMS = ("kube-proxy", "kubelet", "containerd")
"""In the order in which they are stopped."""


def socket() -> Path:
    """Containerd's socket."""
    return state_folder() / "run" / "containerd.sock"


def _containerd_config() -> Path:
    state = state_folder()
    return processes.write_settings(
        "containerd",
        state / "etc" / "containerd.toml",
        f'''version = 2
root = "{state}/containerd"
state = "{state}/run/containerd"
[grpc]
  address = "{socket()}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX_IMAGE}"
  # Machines without CAP_SYS_RESOURCE may not lower a score: every sandbox would fail to start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/etc/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
''',
    )


def _write_cni_config() -> None:
    state = state_folder()
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        # A pod that reaches itself through a Service.
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(state / "cni"),
            "ranges": [[{"subnet": network.POD_CIDR.replace("/16", "/24")}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    document = {"cniVersion": "0.4.0", "name": "coderun", "plugins": [bridge, portmap]}
    processes.write_settings("containerd", state / "etc" / "cni" / "10-coderun.conflist", json.dumps(document, indent=1))


def _kubelet_config() -> Path:
    state = state_folder()
    pki = authority()
    certificate, key = pki.issue("kubelet-server", f"system:node:{NODE_NAME}", (), (NODE_NAME, network.NODE_ADDRESS))
    resolver = processes.write_settings("kubelet", state / "etc" / "resolv.conf", "nameserver 127.0.0.1\n")
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.certificate_file)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "clusterDNS": [network.DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(resolver),
        "containerRuntimeEndpoint": f"unix://{socket()}",
        # The machine may be a container or a small virtual machine itself: take cgroups as they
        # are, enforce no node-wide limits, accept cgroup v1 and swap.
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "localStorageCapacityIsolation": False,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"},
        # Images cannot be pulled again: never collect them.
        "imageGCHighThresholdPercent": 100,
        "maxPods": 200,
        # A changed repo list reaches waiting pods within seconds.
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
    return processes.write_settings("kubelet", state / "etc" / "kubelet.json", json.dumps(document, indent=1))


def start_containerd() -> None:
    """Start containerd and wait until it answers; raises ProcessError with its log's end."""
    _write_cni_config()
    processes.start("containerd", network.inside("containerd", "--config", str(_containerd_config())))
    deadline = time.monotonic() + CONTAINERD_SECONDS
    while subprocess.run(ctr("version"), capture_output=True, check=False).returncode != 0:
        if not processes.running("containerd") or time.monotonic() > deadline:
            raise processes.ProcessError("containerd does not answer:\n" + processes.last_lines("containerd"))
        time.sleep(0.2)


def ctr(*arguments: str) -> list[str]:
    """A command of containerd's client, for the namespace in which the kubelet looks."""
    return ["ctr", "--address", str(socket()), "--namespace", "k8s.io", *arguments]


def start_kubelet() -> None:
    """Start the kubelet and kube-proxy."""
    pki = authority()
    state = state_folder()
    node = pki.kubeconfig(
        pki.folder / "kubelet.kubeconfig",
        API_SERVER,
        "kubelet",
        f"system:node:{NODE_NAME}",
        "system:nodes",
    )
    processes.start(
        "kubelet",
        network.inside(
            str(program("kubelet")),
            f"--config={_kubelet_config()}",
            f"--kubeconfig={node}",
            f"--root-dir={state}/kubelet",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={network.NODE_ADDRESS}",
            "--v=1",
        ),
    )
    proxy = pki.kubeconfig(pki.folder / "kube-proxy.kubeconfig", API_SERVER, "kube-proxy", "system:kube-proxy")
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": network.POD_CIDR,
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": str(proxy)},
        "healthzBindAddress": "127.0.0.1:10256",
        # The machine's connection table is not ours to resize.
        "conntrack": {"maxPerCore": 0, "min": 0},
    }
    config = processes.write_settings("kube-proxy", state / "etc" / "kube-proxy.json", json.dumps(document, indent=1))
    processes.start("kube-proxy", network.inside(str(program("kube-proxy")), f"--config={config}", "--v=1"))
