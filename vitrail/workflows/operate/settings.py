"""What a proposal's fit is given: the policy's settings, and the mitigation that it is answered with."""

from typing import Any, NamedTuple

from vitrail.basics.errors import InputError
from vitrail.data.named_columns import NamedColumns
from vitrail.rollout.operating.policy import Mitigation, OperatePolicy
from vitrail.rollout.operating.proposals import Proposal


class ChosenMitigation(NamedTuple):
    """How unfairness is answered, and the attribute; None where none is needed."""

    how: Mitigation
    attribute: str | None


def mitigation_of(policy: OperatePolicy, proposal: Proposal) -> ChosenMitigation:
    """As whoever approved said; else, for a fairness proposal, as the policy says.

    Raises:
        InputError: a mitigation is asked for, and no attribute is named.
    """
    said = proposal.fact("approved", "mitigation")
    how: Mitigation = said or (policy.material.mitigation if proposal.kind == "fairness" else "none")
    if how == "none":
        return ChosenMitigation("none", None)
    attribute = policy.material.mitigate or proposal.evidence["figures"].get("attribute")
    if attribute is None:
        raise InputError(
            f"{how} is asked for, and proposal {proposal.number} is about no attribute",
            hint="name one in the policy: `mitigate: sex`",
        )
    return ChosenMitigation(how, attribute)


def fit_settings(policy: OperatePolicy, proposal: Proposal) -> dict[str, Any]:
    """The policy's, with groups reweighted where that is the mitigation."""
    chosen = mitigation_of(policy, proposal)
    own = dict(policy.material.fit)
    return {**own, "reweight_by": chosen.attribute} if chosen.how == "reweighting" else own


def held_out_of(policy: OperatePolicy) -> Any:
    """The images of admission."""
    material = policy.material
    return (
        NamedColumns(material.held_out, material.held_out_columns) if material.held_out_columns else material.held_out
    )
