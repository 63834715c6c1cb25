"""Which model a fit starts from where none was named, and what its weights ask for; decided before a run begins."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.events import Emit, Noted
from vitrail.basics.run_folder import RunFolder
from vitrail.basics.run_standing import interrupted_note
from vitrail.models.model_settings import ModelSettings
from vitrail.models.reach import reach_of
from vitrail.models.sources import STARTER, find_source
from vitrail.training.settings import TrainingSettings
from vitrail.workflows.fit.settings import DEFAULT_MODEL, FitSettings

DECISION = "default model"


@dataclass(frozen=True)
class ChosenFit:
    """The settings of a fit.

    Attributes:
        settings: all of them.
        why_model: why this model, in a sentence; None where the caller named it.
        advice: the sentence on what the weights asked for; None where they ask for nothing.
    """

    settings: FitSettings
    why_model: str | None
    advice: str | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """For the report."""
        return tuple(sentence for sentence in (self.why_model, self.advice) if sentence)

    def tell(self, run: RunFolder, emit: Emit) -> None:
        """Say what was chosen, and keep it in the run's journal, so that a resumed run chooses the same."""
        for sentence in self.sentences:
            emit(Noted(f"chosen   {sentence}"))
        if self.why_model and run.noted(DECISION) is None:
            run.note(DECISION, name=self.settings.model.name, why=self.why_model)


def chosen_fit(model: str | None, values: dict[str, Any], *, run: Path) -> ChosenFit:
    """The settings of a fit from what a caller typed, the model's own advice where nothing was typed.

    Args:
        model: as named; None: the usual one where it is within reach, else the starter.
        values: settings by their names; None is as good as nothing.
        run: the run folder; an interrupted run keeps its choice.

    Raises:
        SettingsError: names that do not exist or values that are refused, all of them.
        InputError: no such model.
    """
    name, why = (model, None) if model is not None else _default(run)
    settings = FitSettings.gather(name=name, **values)
    asked = {} if settings.training.preset == "quick" else _asked_by(settings.model)
    typed = {name: value for name, value in values.items() if value is not None}
    taken = {name: value for name, value in asked.items() if name not in typed}
    if not taken:
        return ChosenFit(settings, why, None)
    listed = ", ".join(f"{name} {_shown(value)}" for name, value in taken.items())
    advice = f"These weights ask to be trained in their own way: {listed}; what you set yourself wins."
    return ChosenFit(FitSettings.gather(name=name, **taken, **typed), why, advice)


def _default(run: Path) -> tuple[str, str]:
    before = interrupted_note(run, DECISION)
    if before is not None:
        return before["name"], before["why"]
    reach = reach_of(DEFAULT_MODEL)
    if reach.reached:
        return DEFAULT_MODEL, f"No model was named: {DEFAULT_MODEL}, the usual one, was taken; {reach.why}."
    return STARTER, (
        f"No model was named: the {STARTER} weights that come with Vitrail were taken, because {DEFAULT_MODEL}, "
        f"the usual one, is not on this machine and {reach.why}."
    )


def _asked_by(model: ModelSettings) -> dict[str, Any]:
    asked = find_source(model.name, architecture=model.architecture, pretrained=False).fit
    try:
        TrainingSettings.parse(**asked)
    except SettingsError as error:
        raise InputError(
            f"{model.name} asks in its config.json (fit) for settings of training that there are not: {error.message}",
            hint="correct the config.json, or remove its fit",
        ) from None
    return asked


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
