"""Messages to the Pulumi engine."""

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class Engine:
    """The engine that started the plugin; messages are lost, not fatal, once it has gone."""

    def __init__(self, address: str) -> None:
        """Connect to `address` (host:port); an empty one makes every message a no-op."""
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)) if address else None

    def info(self, message: str, urn: str = "") -> None:
        """Say something that stays in the output."""
        self._log(engine_pb2.INFO, message, urn, ephemeral=False)

    def warn(self, message: str, urn: str = "") -> None:
        """Warn of something."""
        self._log(engine_pb2.WARNING, message, urn, ephemeral=False)

    def status(self, message: str, urn: str) -> None:
        """Say what is going on now, in the resource's status column; an empty message clears it."""
        self._log(engine_pb2.INFO, message, urn, ephemeral=True)

    def _log(self, severity: engine_pb2.LogSeverity.ValueType, message: str, urn: str, *, ephemeral: bool) -> None:
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        try:
            self._stub.Log(request)
        except grpc.RpcError:
            self._stub = None
