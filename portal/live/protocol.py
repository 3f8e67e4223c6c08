"""uvicorn's WebSocket, with a way for the hub to write one ready frame to many browsers.

Through the ASGI `send` each of a thousand sockets would need a task's turn and a frame of its own.
"""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "portal.write"


class LiveProtocol(WebSocketsSansIOProtocol):
    """Offers `write` to the application as an extension of its scope."""

    async def run_asgi(self) -> None:
        """Run the application, which finds the extension in its scope."""
        extensions: dict[str, object] = {**self.scope.get("extensions", {}), EXTENSION: self.write}
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]
        await super().run_asgi()

    def write(self, frame: bytes) -> bool:
        """Hand a whole frame to the network; False, with nothing written, where `send` would wait or fail."""
        if self.close_sent or self.transport.is_closing() or not self.writable.is_set():
            return False
        self.transport.write(frame)
        return True
