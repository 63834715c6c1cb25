"""What the operating loop may do: which figures open a proposal, who agrees, and what a replacement is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from vitrail.basics.errors import InputError, SettingsError
from vitrail.basics.settings import Settings
from vitrail.basics.strict_yaml import strict_yaml
from vitrail.measures.fairness_rates import FAIR_BELOW, LEAST_GROUP
from vitrail.rollout.version_names import refuse_odd_name

Share = Annotated[float, Field(ge=0, le=1)]
TriggerKind = Literal["shift", "accuracy", "fairness"]
PersonalStep = Literal["approve", "sign"]
Mitigation = Literal["none", "reweighting", "thresholds"]


def _listed(names: Any) -> Any:
    return [each.strip() for each in names.split(",") if each.strip()] if isinstance(names, str) else names


class TriggerSettings(Settings):
    """What opens a proposal. All of it may be looked at as often as one likes."""

    triggers: Annotated[tuple[TriggerKind, ...], BeforeValidator(_listed)] = ("shift", "accuracy", "fairness")
    """What is watched; the others open nothing."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The chance that a proposal is ever opened for a version that nothing is wrong with, divided among the
    triggers."""
    most_accuracy_fall: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """By so much may the live accuracy lie below the lower limit of what the package says of itself."""
    least_accuracy: Share | None = None
    """The least live accuracy itself; None: only the fall counts."""
    unfair_from: Annotated[float, Field(gt=0, lt=1)] = FAIR_BELOW
    """A group may be wrong by so much more often than the others of its attribute."""
    attributes: Annotated[tuple[str, ...] | None, BeforeValidator(_listed)] = None
    """Attributes that requests carry and whose groups are watched; None: all."""
    least_truths: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    """Answers with a truth that are needed before accuracy opens a proposal."""
    least_of_group: Annotated[int, Field(ge=1, le=1_000_000)] = LEAST_GROUP
    """Answers with a truth that a group and the others need each."""
    least_seen: Annotated[int, Field(ge=1, le=100_000_000)] = 100
    """Images that are needed before shift opens a proposal."""
    window_seconds: Annotated[float, Field(gt=0, le=604_800)] = 21_600.0
    """A test begins afresh so often, so that what goes wrong late is found as if it were new; groups are compared in
    whole windows."""
    worse_by: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """A declined proposal is opened again only where it got worse by more than this since."""


class MaterialSettings(Settings):
    """What a replacement is fitted on, and how."""

    data: str
    """Labelled images to fit on, as for `vitrail fit`."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """What a table calls its columns, e.g. `{label: dx}`."""
    held_out: str
    """Labelled images on which admission and the comparison of before and after are made."""
    held_out_columns: Mapping[str, str] = Field(default_factory=dict)
    """Likewise for the held-out images."""
    feedback_images: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Folders in which servers keep images (`vitrail serve --keep-images`), one for each; none: feedback is not trained
    on."""
    most_feedback_share: Annotated[float, Field(gt=0, le=0.9)] = 0.3
    """The largest share of the training material that feedback may be; the latest is taken."""
    model: str | None = None
    """As for `vitrail fit`; `stable`: begin from the weights of the version that stands."""
    fit: Mapping[str, Any] = Field(default_factory=dict)
    """Settings of the fit, e.g. `{preset: quick, seed: 1}`."""
    mitigation: Mitigation = "none"
    """What a fairness proposal is answered with: `reweighting` fits with every group and class counting the same,
    `thresholds` gives each group a threshold of its own (two classes)."""
    mitigate: str | None = None
    """The attribute of the mitigation; None: the one that opened the proposal."""
    runs: str = "runs"
    """Folder of the run folders."""


class PeopleSettings(Settings):
    """Who agrees, and what needs nobody."""

    approvers: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Who may approve, decline and sign; empty: whoever gives a name."""
    without_a_person: Annotated[tuple[PersonalStep, ...], BeforeValidator(_listed)] = ()
    """Steps that need nobody: `approve`, `sign`. Usually none."""


class OperatePolicy(Settings):
    """The policy of `vitrail operate`; `OperatePolicy.gather` takes all of it by its own names."""

    name: str
    """Name of the model in the version store."""
    state: str = "runs/serve.sqlite"
    """Database of the servers."""
    store: str | None = None
    """Version store; None: as for `vitrail register`."""
    admission: str | None = None
    """A policy file of `vitrail admit`; None: the usual bounds."""
    rollout: str | None = None
    """A plan file of `vitrail rollout start`; None: the usual plan."""
    trigger: TriggerSettings = TriggerSettings()
    """What opens a proposal."""
    material: MaterialSettings
    """What a replacement is made of."""
    people: PeopleSettings = PeopleSettings()
    """Who agrees."""

    @model_validator(mode="after")
    def _refuse_odd(self) -> "OperatePolicy":
        refuse_odd_name(self.name)
        if not self.trigger.triggers:
            raise InputError(
                "a policy without triggers would watch nothing", hint="name some: shift, accuracy, fairness"
            )
        return self

    def refuse_stranger(self, name: str) -> str:
        """The name, without blanks around it.

        Raises:
            InputError: nobody is named, or somebody whom the policy does not know.
        """
        if not name.strip():
            raise InputError("nobody is named", hint='say who agrees: --as "Ada Lovelace"')
        if self.people.approvers and name.strip() not in self.people.approvers:
            raise InputError(
                f"{name.strip()} may not decide here", hint=f"the policy names {', '.join(self.people.approvers)}"
            )
        return name.strip()


def read_policy(file: str | Path) -> OperatePolicy:
    """The policy of a YAML file; paths in it are as they would be on a command line.

    Raises:
        InputError: there is no such file, or a name or value in it is not as it should be.
    """
    path = Path(file).expanduser()
    value = strict_yaml(path, expected="the policy of an operating loop", example="vitrail operate run --help")
    if not isinstance(value, dict):
        raise InputError(f"{path}: names and values were expected", hint="for example `name: flowers`")
    try:
        return OperatePolicy.gather(**{str(name): each for name, each in value.items()})
    except SettingsError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from None
