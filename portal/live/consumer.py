"""The WebSocket's door."""

from channels.generic.websocket import AsyncJsonWebsocketConsumer


class LiveConsumer(AsyncJsonWebsocketConsumer):
    """Hands the events of the topics a person watches to their browser."""
