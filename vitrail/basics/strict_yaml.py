"""YAML from a person's editor: plain values only, nothing that is read otherwise than it was written."""

import re
from pathlib import Path
from typing import Any

import yaml

from vitrail.basics.errors import InputError, SystemFault
from vitrail.basics.files import IrregularFileError, regular_file

MOST_BYTES = 1_000_000
"""More than any configuration needs."""


class _StrictLoader(yaml.SafeLoader):
    """Without anchors, by which a short text can stand for an endless one; a name stands once in a mapping."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(problem="anchors and aliases are not taken", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a name was expected", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands here twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def construct_decimal(self, node: Any) -> int | float:
        """Not `010`, which is 8 to YAML, nor `1:30`, which is 90."""
        if not _DECIMAL.fullmatch(node.value):
            problem = f"{node.value} is not how a number is written here"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return int(node.value) if node.tag.endswith(":int") else float(node.value)


_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_decimal)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_decimal)


def strict_yaml(path: Path, *, expected: str, example: str) -> Any:
    """The plain values of a file: mappings, lists, texts, numbers, true and false, dates, nothing.

    Args:
        path: of the file.
        expected: what is to stand in it, for the message: `the models to serve`.
        example: where one can be seen: `vitrail serve --help`.

    Raises:
        InputError: there is no such file, it is larger than a megabyte, or not YAML; it names the line.
        SystemFault: it may not be read.
    """
    hint = f"see the example in `{example}`"
    try:
        with regular_file(path) as file:
            content = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such file", hint=f"a YAML file with {expected} was expected") from None
    except (IsADirectoryError, IrregularFileError):
        raise InputError(f"{path} is no file", hint=f"a YAML file with {expected} was expected") from None
    except OSError as error:
        raise SystemFault(f"{path} cannot be read: {error.strerror or error}", hint="check its permissions") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"{path} has more than {MOST_BYTES:,} bytes", hint="a file of a few lines was expected")
    try:
        return yaml.load(content, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise InputError(f"{path}{line}: {error.problem}", hint=hint) from None
    except (yaml.YAMLError, ValueError) as error:  # no text, or a date or number that is none
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())[:200]}", hint=hint) from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply", hint=hint) from None
