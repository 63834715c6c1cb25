"""The frame of every page: templates, escaped by default, rendered into one self-contained document."""

import functools
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vitrail.basics.errors import InputError, did_you_mean
from vitrail.basics.printable import printable
from vitrail.measures.intervals import as_decimal
from vitrail.pages import numbers


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vitrail.pages", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_spelled,
    )
    environment.filters |= {
        "count": numbers.count,
        "duration": numbers.duration,
        "measure": numbers.measure_text,
        "value": numbers.value_text,
        "interval": numbers.interval_text,
        "decimal": as_decimal,
        "percent": numbers.percent,
        "p_value": numbers.p_value,
        "often": numbers.often,
        "between": numbers.between,
        "how_often": numbers.how_often,
        "words": numbers.words,
        "split_name": numbers.split_name,
    }
    environment.tests |= {
        "measure": numbers.is_measure,
        "all_measures": numbers.all_measures,
        "rows_of_measures": numbers.rows_of_measures,
    }
    return environment


def _spelled(value: Any) -> Any:
    """A name in which something hides, or turns the words behind it round, is spelled out; markup is our own."""
    return printable(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def render_page(template: str | Path, **values: Any) -> str:
    """The page, or the part of one, that a template makes of the values.

    Every value is escaped unless it is `markupsafe.Markup`, which only plots and whole sections are. A value that the
    template needs and does not get is an error, never an empty place.

    Args:
        template: a file in `templates/`, or the path of one that lies elsewhere; it may use the macros of ours.
        values: by the names under which the template asks for them.

    Raises:
        InputError: there is no such template, or that of a stranger is no template.
    """
    environment = _environment()
    if isinstance(template, Path):
        return _template_elsewhere(environment, template).render(**values)
    try:
        found = environment.get_template(template)
    except jinja2.TemplateNotFound:
        known = environment.list_templates()
        hint = did_you_mean(template, known) or f"known: {', '.join(known)}"
        raise InputError(f"there is no page template {template!r}", hint=hint) from None
    return found.render(**values)


def _template_elsewhere(environment: jinja2.Environment, path: Path) -> jinja2.Template:
    try:
        return environment.from_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the page template {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the page template {path} is not UTF-8", hint="save it as UTF-8") from error
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"the page template {path} is none: line {error.lineno}: {error.message}") from error
