"""Checks of arguments when an object is built, and names of values for errors and reprs."""

import operator
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def whole_number(value: Any, name: str, *, least: int = 0, also: int | None = None) -> int:
    """Check an argument that must be a whole number.

    Parameters
    ----------
    value : any
        The argument.
    name : str
        The beginning of the error.
    least : int
        The smallest number.
    also : int or None
        Another number that is accepted, such as -1.

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError
        If it is not a whole number.
    ValueError
        If it is too small.
    """
    wanted = f"{name}: expected a whole number >= {least}" + ("" if also is None else f", or {also}")
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{wanted}; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{wanted}; got {describe(value)}") from None
    if number < least and number != also:
        raise ValueError(f"{wanted}; got {number}")
    if number > sys.maxsize:
        raise ValueError(f"{wanted} and at most {sys.maxsize}; got {number}")
    return number


_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def byte_count(text: str, name: str) -> int:
    """The number of bytes that a text such as "200MB" names. Errors begin with `name`.

    >>> byte_count("200MB", "window"), byte_count("1.5 GiB", "window")
    (200000000, 1610612736)
    """
    unit = text.lstrip("0123456789. ")
    try:
        count = int(float(text[: len(text) - len(unit)]) * _UNITS[unit])
    except (ValueError, KeyError):
        count = 0
    if count < 1:
        raise ValueError(
            f'{name}: expected bytes as a number and one of {", ".join(_UNITS)}, such as "200MB"; got {text!r}'
        )
    return count


def true_or_false(value: Any, name: str) -> bool:
    """`value` as a bool. Errors begin with `name`."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False; got {describe(value)}")
    return bool(value)


def plain_array(value: Any, where: str) -> NDArray[Any]:
    """`value` as an array of NumPy's own class. Errors begin with `where`.

    Raises TypeError for an array of a subclass, such as a masked array: stages would lose what the subclass adds.
    """
    if isinstance(value, np.ndarray) and type(value) is not np.ndarray:
        if isinstance(value, np.memmap):
            return value.view(np.ndarray)
        wanted = f"{where}: expected a plain NumPy array; got {describe(value)}, a {type(value).__name__}"
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(
                f"{wanted}, whose mask would be lost. Write array.filled(value), and np.ma.getmaskarray(array) for the mask "
                "as an array of its own"
            )
        raise TypeError(f"{wanted}. Write np.asarray(array)")
    return np.asarray(value)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only copy, as samplers keep: later changes of the array would not reach their streams."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def as_labels(y: ArrayLike, where: str) -> NDArray[np.intp]:
    """`y` as the labels of samples, (n,) integers >= 0; strings as their places among all strings in order."""
    labels = plain_array(y, where)
    if labels.size and labels.dtype.kind in "OSUT":
        return classes_in(y, where)[0]
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iub"):
        wanted = f"{where}: expected labels, a 1-D array of integers >= 0, or of strings"
        raise TypeError(f"{wanted}; got {describe(labels)}")
    if labels.size and labels.min() < 0:
        raise ValueError(f"{where}: expected labels >= 0; sample {labels.argmin()} has {labels.min()}")
    return labels.astype(np.intp)


def classes_in(y: ArrayLike, where: str) -> tuple[NDArray[np.intp], list[Any]]:
    """The number of the class of each sample, (n,), and the classes in order. Errors begin with `where`.

    >>> classes_in(["dog", "cat", "dog"], "y")
    (array([1, 0, 1]), ['cat', 'dog'])
    """
    labels = plain_array(y, where)
    wanted = f"{where}: expected labels, a 1-D array of integers or of strings"
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iubOSUT"):
        hint = ". Write y.astype(int)" if labels.dtype.kind == "f" else ""
        raise TypeError(f"{wanted}; got {describe(labels if labels.ndim else y)}{hint}")
    if labels.dtype.kind == "O" and labels.size:
        kind = str if isinstance(labels[0], str) else int | np.integer | bytes
        for n, label in enumerate(labels):
            if not isinstance(label, kind):
                raise TypeError(f"{wanted}; sample {n} has {describe(label)}")
    classes, of_sample = np.unique(labels, return_inverse=True)
    return of_sample.astype(np.intp), classes.tolist()


def describe(value: Any, most: int = 120) -> str:
    """A short name of any value, for errors and reprs.

    Parameters
    ----------
    value : any
        The value.
    most : int
        About the largest number of characters.

    Returns
    -------
    str
        The name; of a value with a shape, `<60000x28x28 uint8>`.

    Examples
    --------
    >>> describe(np.zeros((3, 2), np.float32)), describe([1, 2, 3]), describe(1.5)
    ('<3x2 float32>', '<list of 3>', '1.5')
    """
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and shape and dtype is not None:
        dtype = shortened(str(dtype).removeprefix("torch."), most)  # that of a table has all its columns
        return f"<{'x'.join(map(str, shape))} {dtype}>"
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        text = repr(value)
        return text if len(text) <= 40 else text[:37] + "..."
    try:
        return f"<{type(value).__name__} of {len(value)}>"
    except Exception:  # a user's class may raise anything, and must not hide the error
        return f"<{type(value).__name__}>"


def listed(parts: Iterable[str], most: int = 120) -> str:
    """The parts, separated by commas, for an error; of a long text the middle is left out."""
    return shortened(", ".join(parts), most)


def shortened(text: str, most: int = 240) -> str:
    """The text, for an error or a repr; if it has more than `most` characters, the middle is left out.

    >>> shortened("indices(100) | chunk(4) | gather(<100 int64>)", most=30)
    'indices(100)  ... <100 int64>)'
    """
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[: half + 1]} ... {text[-half:]}"


def call_text(name: str, /, *args: Any, **options: Any) -> str:
    """The text of a call, for a repr. Options that are None or False are left out.

    >>> call_text("pad", multiple=8, mask=True, to=None), call_text("chunk", 64)
    ('pad(multiple=8, mask=True)', 'chunk(64)')
    """
    given = [f"{key}={value}" for key, value in options.items() if value is not None and value is not False]
    return f"{name}({', '.join([*map(str, args), *given])})"


def describe_callable(fn: Any, qualified: bool = False) -> str:
    """The name by which a user knows a function, or the class of an object that is called: `augment`, `Crop`."""
    inner = getattr(fn, "func", None)  # functools.partial
    if inner is not None and not hasattr(fn, "__name__"):
        return f"partial({describe_callable(inner, qualified)})"
    named = fn if hasattr(fn, "__name__") else type(fn)
    if not qualified:
        return str(named.__name__)
    # Older ufuncs have no qualified name, and methods of built-in types no module.
    return f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', named.__name__)}"


def is_a(value: Any, *names: str) -> bool:
    """True for an instance of one of these classes, of packages that may not be installed.

    >>> is_a(3, "torch.Tensor", "pandas.DataFrame")
    False
    """
    for name in names:
        package, _, path = name.partition(".")
        kind: Any = sys.modules.get(package)
        for part in path.split("."):
            kind = getattr(kind, part, None)
        if kind is not None and isinstance(value, kind):
            return True
    return False
