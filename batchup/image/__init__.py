"""Images."""

__all__ = ["utils"]


def __dir__() -> list[str]:
    return __all__
