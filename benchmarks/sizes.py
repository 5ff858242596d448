"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .everyday.shapes import Shapes
from .link import RATE, Link


@dataclass(frozen=True)
class Sizes:
    """How much of everything. `megabytes` is a large object."""

    megabytes: int = 1000
    gets: int = 300
    small: int = 1000
    few_keys: int = 50_000
    many_keys: int = 1_000_000
    slow_megabytes: int = 256
    slow_ranges: int = 500
    slow_puts: int = 200
    parquet_megabytes: int = 200
    partitions: int = 200
    seed: int = 0  # of the everyday shapes
    scale: float = 1.0  # of the everyday sizes
    near_ms: float = 25
    far_ms: float = 100

    @classmethod
    def quick(cls) -> Sizes:
        """Just enough to see that all works; the figures mean little."""
        return cls(100, 50, 100, 5_000, 20_000, 32, 50, 50, 20, 20, scale=0.06, near_ms=2, far_ms=5)

    @property
    def upload_megabytes(self) -> int:
        """The size of an upload: 512 of 1,000."""
        return self.megabytes * 512 // 1000

    @property
    def large(self) -> str:
        """The key of a large object."""
        return f"large-{self.megabytes * 10**6}"

    @property
    def quarter(self) -> str:
        """The key of one of a quarter of its size."""
        return f"quarter-{self.megabytes * 10**6 // 4}"

    @property
    def slow_large(self) -> str:
        """The key of what is read through the proxy as a whole."""
        return f"slow-{self.slow_megabytes * 10**6}"

    @property
    def shapes(self) -> Shapes:
        """What the everyday works read, drawn with the seed."""
        return Shapes.drawn(self.seed, self.scale)

    @property
    def links(self) -> tuple[Link, Link]:
        """How far away the everyday stores are."""
        return Link(self.near_ms / 1000, RATE), Link(self.far_ms / 1000, RATE)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def for_titles(self) -> dict[str, Any]:
        """What the titles of works name."""
        shapes = self.shapes
        return {
            **asdict(shapes),
            **asdict(self),
            "upload_megabytes": self.upload_megabytes,
            "csv_mb": f"{shapes.csv / 1e6:.0f}",
            "loopback_mb": f"{shapes.loopback / 1e6:.0f}",
            "big_mb": f"{shapes.big / 1e6:.0f}",
            "chunks": shapes.chunks,
        }
