"""What must be so before a rollout begins: everything else is refused with the command that helps."""

from pathlib import Path

from vitrail.basics.errors import InputError
from vitrail.rollout.live.kept_rollout import KeptRollout
from vitrail.rollout.live.rollout_store import RolloutStore
from vitrail.rollout.live.verification import VerifiedPackage, verified
from vitrail.rollout.plan import RolloutSettings
from vitrail.rollout.routes_of import rollout_arms
from vitrail.rollout.version_records import Version
from vitrail.rollout.version_store import VersionStore
from vitrail.traffic.routes import Routes
from vitrail.traffic.routes_store import RoutesStore

_MAY_BE_ROLLED_OUT = ("admitted", "rolled out")


class Beginning:
    """A rollout that may begin: every condition was looked at, and nothing was changed.

    Attributes:
        version: that is rolled out.
        plan: of the rollout.
        replaces: the stable arm that was named; None: the only one.
        base: the routes that hold.
        arm: that it replaces.
        verified: what came of looking at its package.

    Args:
        versions: the version store.
        routes: of the servers.
        plan: of the rollout.

    Raises:
        InputError: the version, the routes or the package do not allow it.
    """

    def __init__(
        self, name: str, versions: VersionStore, routes: RoutesStore, plan: RolloutSettings, *, replaces: str | None
    ) -> None:
        self.version, self.plan, self.replaces = allowed_version(versions, name, plan), plan, replaces
        self.base = routes_there(routes)
        model = self.version.id.replace("@", "-")
        arms, known = rollout_arms(self.base, model, replaces=replaces, number=1), routes.models()
        _refuse_other_package(self.version, model, self.base, known[model].digest if model in known else None)
        stable = known[arms.replaced.model].folder
        self.arm = arms.replaces
        self.verified = _passed(versions, self.version, stable)

    def begun(self, store: RolloutStore, *, by: str, versions: str, holder: str | None = None) -> KeptRollout:
        """Keep it: from now on it goes on.

        Args:
            store: of rollouts.
            by: who begins it.
            versions: address of the version store.
            holder: who conducts it from its beginning on; None: whoever claims it.

        Raises:
            InputError: another one goes on.
        """
        return store.begin(
            self.version, self.base, plan=self.plan, by=by, versions=versions, replaces=self.replaces, holder=holder
        )  # fmt: skip


def is_the_same(kept: KeptRollout, version: Version, plan: RolloutSettings) -> bool:
    """Whether a rollout goes on that is the one that is asked for."""
    return not kept.is_closed and (kept.version, kept.digest, kept.plan) == (version.id, version.digest, plan)


def allowed_version(versions: VersionStore, name: str, plan: RolloutSettings) -> Version:
    """The version, which was admitted, and signed where the plan wants it.

    Raises:
        InputError: it was not.
    """
    version = versions.version(name)
    if version.state not in _MAY_BE_ROLLED_OUT:
        raise InputError(
            f"{version.id} is {version.state}: only what was admitted is rolled out",
            hint=f"vitrail admit {version.id} --against stable --data DIR",
        )
    if plan.needs_signature and not any(each.facts.get("digest") == version.digest for each in version.signatures):
        raise InputError(
            f"nobody has signed for {version.id}, which this plan asks for",
            hint=f'vitrail sign {version.id} --as NAME --note "what was looked at"',
        )
    return version


def routes_there(routes: RoutesStore) -> Routes:
    """The routes that hold.

    Raises:
        InputError: no server was ever begun with this database.
    """
    found = routes.latest()
    if found is None:
        raise InputError(
            "no server has been begun with this state: there is nothing to replace",
            hint="vitrail serve PACKAGE --state STATE, and the same --state here",
        )
    return found


def _refuse_other_package(version: Version, model: str, base: Routes, digest: str | None) -> None:
    if model in base.models and digest is not None and digest != version.digest:
        raise InputError(
            f"the servers know another package as {model}, the name that {version.id} would have",
            hint="serve that one under another name: `name:` in serve.yaml",
        )


def _passed(versions: VersionStore, version: Version, stable: Path) -> VerifiedPackage:
    found = verified(versions, version.id, version.digest, stable=stable)
    if not found.verification.passed:
        raise InputError(found.verification.sentence, hint="register and admit a package that fits what is served")
    return found
