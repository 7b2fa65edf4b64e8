"""Data that are larger than memory: read in pieces, decoded in workers, in an order that can be resumed."""

from lit_gen.data.streaming.stream_loader import Streaming, StreamLoader
from lit_gen.data.streaming.streamed_images import StreamedImages

__all__ = ["StreamLoader", "StreamedImages", "Streaming"]
