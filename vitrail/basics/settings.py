"""Settings: typed, frozen, owned by the part they configure, and strict about names."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vitrail.basics.errors import InputError, SettingsError, did_you_mean

Kind = TypeVar("Kind", bound="Settings")


class Settings(BaseModel):
    """Base of every settings object: immutable, and an unknown name is an error.

    A part declares its own subclass beside its code, with a sentence under every field:

    >>> class Loop(Settings):
    ...     epochs: int = 5
    >>> Loop.parse(epochs=3).epochs
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def parse(cls: type[Kind], **values: Any) -> Kind:
        """Build the settings, or raise one `SettingsError` that names every fault.

        Raises:
            SettingsError: a name is unknown (with the nearest known names) or a value is refused.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise _explain(cls, error) from None

    @classmethod
    def gather(cls: type[Kind], **values: Any) -> Kind:
        """Build settings that consist of other parts' settings from one flat set of names.

        Each name goes to the part that owns it, so that `gather(image_size=96, validation_fraction=0.3)` reaches the
        model's settings and the split's without the caller knowing whose they are.

        Raises:
            SettingsError: as `parse`; all faults of all parts are listed together.
        """
        nested: dict[str, Any] = {}
        for name, value in values.items():
            owner = next((part for part, kind in cls.parts().items() if name in kind.model_fields), None)
            if owner is None:
                nested[name] = value
            else:
                nested.setdefault(owner, {})[name] = value
        for part in cls.parts():
            nested.setdefault(part, {})
        return cls.parse(**nested)

    @classmethod
    def parts(cls) -> dict[str, type["Settings"]]:
        """The fields that are themselves settings, by name."""
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Settings)}

    @classmethod
    def names(cls) -> list[str]:
        """Every name that `gather` understands."""
        parts = cls.parts()
        own = [name for name in cls.model_fields if name not in parts]
        return own + [name for kind in parts.values() for name in kind.model_fields]

    @classmethod
    def meaning(cls, name: str) -> str | None:
        """A setting and what stands under it in its class, in one line."""
        kinds = [cls, *cls.parts().values()]
        said = next(kind.model_fields[name].description for kind in kinds if name in kind.model_fields)
        return f"{name}: {' '.join(said.split())}" if said else None


def _explain(cls: type[Settings], error: ValidationError) -> InputError:
    known = cls.names()
    raised = [fault.get("ctx", {}).get("error") for fault in error.errors(include_url=False)]
    told = next((each for each in raised if isinstance(each, InputError)), None)
    if told is not None:  # a validator has said it in its own words, hint included
        return told
    faults, hint = [], None
    for fault in error.errors(include_url=False):
        name = next((part for part in fault["loc"] if part in known), None)
        if fault["type"] == "extra_forbidden":
            unknown = str(fault["loc"][-1])
            suggestion = did_you_mean(unknown, known)
            faults.append(f"unknown setting {unknown!r}" + (f" - {suggestion}" if suggestion else ""))
            hint = f"known settings: {', '.join(sorted(known))}"
        else:
            expected = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else fault["msg"]
            # A validator of the whole has no name, and its input is everything.
            faults.append(f"{name}: {expected}, got {_shown(fault['input'])}" if name else expected)
            hint = hint or (cls.meaning(str(name)) if name else None)
    count = f"{len(faults)} settings are wrong" if len(faults) > 1 else "a setting is wrong"
    lines = "\n".join(f"  - {fault}" for fault in faults)
    return SettingsError(f"{count}:\n{lines}", hint=hint)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}…"
