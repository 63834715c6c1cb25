"""The models of a server: a new revision of the routes is loaded beside the old one, and takes over when it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.basics.errors import PackageError
from vitrail.models.seal import package_digest
from vitrail.serving.breakers import Breakers
from vitrail.serving.model_order import Bounds, ModelOrder
from vitrail.serving.served_model import ServedModel
from vitrail.serving.settings import ServingSettings
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Routes


@dataclass(frozen=True)
class LostModel:
    """A model that could not be loaded for a revision.

    Attributes:
        name: its id.
        digest: of the package that was asked for.
        why: in words, after its name.
        ends: how often its process ended.
    """

    name: str
    digest: str
    why: str
    ends: int


class Fleet:
    """All model processes, and the routes that are in force.

    Attributes:
        routes: in force; None: none yet.
        models: that they use, by id.
        coming: models that are being loaded for a coming revision.

    Args:
        settings: of the server.
        breakers: follow the models.
        told: receives what happens to a model, in words.
        shifted: receives the state of a model's stream test.
    """

    def __init__(
        self, settings: ServingSettings, breakers: Breakers, *,
        told: Callable[[str, str], None], shifted: Callable[[str, dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self.routes: Routes | None = None
        self.models: dict[str, ServedModel] = {}
        self.coming: dict[str, ServedModel] = {}
        self._settings, self._breakers, self._told, self._shifted = settings, breakers, told, shifted
        self._changing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def is_ready(self) -> bool:
        """Whether some model that has traffic answers."""
        return self.routes is not None and any(
            self.models[arm.model].state == "ready" for arm in self.routes.stable_arms if arm.weight
        )

    async def adopt(self, routes: Routes, packages: Mapping[str, KnownModel]) -> list[LostModel]:
        """Bring a revision into force: load what is new, then route by it, then let go of what it does not use.

        At the start there is nothing to keep serving with, so the first revision is in force while it loads. Later a
        model that cannot be loaded leaves everything as it was. Whoever loses patience cancels this and calls it for
        another revision: what both need goes on loading.

        Args:
            packages: of all models of the routes, by their ids. One whose digest is written is loaded only if that is
                the one of the package.

        Returns:
            The models that could not be loaded, stopped; none: the revision is in force.
        """
        async with self._changing:
            digests = await asyncio.to_thread(_digests, [packages[name] for name in routes.models])
            models = {name: self._model(packages[name], digests[name]) for name in routes.models}
            new = {name: model for name, model in models.items() if self.models.get(name) is not model}
            self._await(new)
            if self.routes is None:
                self._take(routes, models)
            await asyncio.gather(*(model.until_loaded() for model in new.values()))
            if self.routes is routes:
                return []
            failed = [each for each in new.values() if each.state != "ready"]
            if failed:
                lost = [LostModel(each.name, each.order.digest, each.fault, each.ends) for each in failed]
                self._await({})
                return lost
            self._take(routes, models)
            return []

    async def stop(self, *, seconds: float) -> None:
        """End all processes, after what they were asked for is answered, at most so many seconds."""
        self._await({})
        await asyncio.gather(*(model.stop(seconds=seconds) for model in self.models.values()), *self._retiring)

    def _await(self, models: Mapping[str, ServedModel]) -> None:
        """Load these for a coming revision, and let go of what was loaded for another one."""
        before, self.coming = self.coming, dict(models)
        for model in before.values():
            if self.coming.get(model.name) is not model:
                self._later(model.stop())
        for model in self.coming.values():
            if before.get(model.name) is not model:
                model.start()

    def _model(self, package: KnownModel, digest: str) -> ServedModel:
        """That which is there or on its way already, or a new one."""
        name, order = package.model, model_order(str(package.folder), digest, self._settings)
        for there in (self.models.get(name), self.coming.get(name)):
            if there is not None and there.order == order:
                return there
        return ServedModel(
            name, order, model_bounds(self._settings), told=self._told, shifted=self._shifted,
            others_serve=lambda: self.is_ready,
        )  # fmt: skip

    def _take(self, routes: Routes, models: dict[str, ServedModel]) -> None:
        """From here on requests go by the new routes; those under way end with the model that they asked."""
        old = [model for name, model in self.models.items() if models.get(name) is not model]
        self.routes, self.models, self.coming = routes, models, {}
        answering = routes.fallback or [arm.model for arm in routes.stable_arms]
        self._breakers.follow(models, answering=answering, fresh=[model.name for model in old])
        for model in old:
            self._later(model.stop(seconds=self._settings.limits.deadline_seconds))

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _digests(packages: Sequence[KnownModel]) -> dict[str, str]:
    """By model: as written, else as found; of a package that cannot be read one that matches nothing: its process says
    why, the others answer."""
    found = {each.model: each.digest for each in packages}
    for each in packages:
        if not each.digest:
            try:
                found[each.model] = package_digest(each.folder)
            except PackageError:
                found[each.model] = "unreadable"
    return found


def model_order(package: str, digest: str, settings: ServingSettings) -> ModelOrder:
    """How a package is to be loaded, by the settings of the server."""
    limits, process = settings.limits, settings.process
    return ModelOrder(
        package=package,
        digest=digest,
        runtime=process.runtime,
        device=process.device,
        threads=process.threads,
        most_images=settings.batches.most_batch_images,
        wait=settings.batches.wait_milliseconds / 1000,
        formats=tuple(limits.formats),
        max_pixels=limits.most_image_pixels,
        memory_bytes=0 if process.memory_gb is None else int(process.memory_gb * 1e9),
    )


def model_bounds(settings: ServingSettings) -> Bounds:
    """How much a model is asked at once, by the settings of the server."""
    limits, process = settings.limits, settings.process
    return Bounds(
        queue_images=limits.most_waiting,
        queue_bytes=limits.most_waiting_bytes,
        hang_seconds=limits.model_seconds,
        load_seconds=process.load_seconds,
        restart_seconds=process.restart_seconds,
        longest_restart_seconds=process.most_restart_seconds,
    )
