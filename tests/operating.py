"""A model that serves, by hand: versions, routes, figures, kept images; no server runs."""

import csv
import itertools
import shutil
import time
from pathlib import Path

import numpy as np

import vitrail
from tests.conftest import picture
from vitrail.basics.database import opened_database
from vitrail.models.seal import package_digest
from vitrail.monitoring.figures_store import FiguresStore
from vitrail.monitoring.shift_reports import ShiftReport, ShiftReports
from vitrail.monitoring.truth import AnsweredRequest, ToldTruth
from vitrail.rollout.version_store import VersionStore
from vitrail.traffic.route_records import KnownModel
from vitrail.traffic.routes import Arm, Routes
from vitrail.traffic.routes_store import RoutesStore

HUES = {"blue": 0, "green": 1, "red": 2}


def write_table(folder: Path, count: int, *, seed: int, rare: float = 0.5) -> Path:
    """Pictures of three classes with a table: path, label and the attribute `site`, `b` in that share."""
    folder.mkdir(parents=True)
    lot = np.random.default_rng(seed)
    rows = []
    for label, hue in HUES.items():
        for number in range(count):
            file = folder / f"{label}-{number:03}.png"
            picture(seed + 1000 * hue + number, hue=hue).save(file)
            rows.append([file.name, label, "b" if lot.random() < rare else "a"])
    table = folder / "images.csv"
    with table.open("w", newline="") as sink:
        csv.writer(sink).writerows([["path", "label", "site"], *rows])
    return table


class Serving:
    """What servers would have left in their database, a version store, and a policy."""

    def __init__(self, folder: Path, stable: Path, *, ago: float = 0.0) -> None:
        self.folder, self.state = folder, str(folder / "serve.sqlite")
        self.store = str(folder / "versions.sqlite")
        self.database = opened_database(self.state)
        self.figures = FiguresStore(self.database, server="one", source="one-1")
        self.figures.prepare()
        self.shift = ShiftReports(self.database)
        self.shift.prepare()
        self.now = time.time() - ago  # people decide by the wall clock
        self.numbers = itertools.count(1)
        vitrail.register(stable, name="colours", store=self.store)
        vitrail.set_alias("colours@1", "stable", store=self.store)
        self.serve("colours@1")

    def clock(self) -> float:
        return self.now

    def close(self) -> None:
        self.database.close()

    def serve(self, version: str) -> None:
        """The next routes: everybody gets a version."""
        versions = VersionStore(opened_database(self.store), self.clock)
        folder, model = versions.folder(version), version.replace("@", "-")
        versions.close()
        routes = RoutesStore(self.database, self.clock)
        before = routes.latest_revision()
        asked = Routes((before or 0) + 1, (Arm("main", model, weight=1.0),))
        routes.write(asked, expected=before, models=[KnownModel(model, folder, package_digest(folder))])

    def tell(
        self, wrong: float, *, times: int, site: str = "a", keep: Path | None = None, shift_names: int = 0
    ) -> None:
        """Answers whose truth came: so many are wrong. With `keep`, images that the server kept; with `shift_names`,
        truths are those of the class so many places further."""
        names = list(HUES)
        answers, truths = [], {}
        for number in range(times):
            request = f"r{next(self.numbers):06}"
            hue = number % 3
            is_wrong = number < round(wrong * times)
            answer = names[(hue + is_wrong) % 3]
            truth = names[(hue + shift_names) % 3]
            self.now += 1.0
            answers.append(AnsweredRequest(request, self.now, "main", answer, (("site", site),)))
            truths[request] = ToldTruth(truth, self.now)
            if keep is not None:
                keep.mkdir(exist_ok=True)
                picture(700_000 + int(request[1:]), hue=hue).save(keep / f"{request}.png")
        self.figures.write_answers(answers)
        self.figures.write_truths(truths, now=self.now)

    def report_shift(self, *, seen: int, unlike: int, p_value: float, version: str = "colours-1") -> None:
        """A model process says so."""
        digest = RoutesStore(self.database, self.clock).models()[version].digest
        self.shift.write(ShiftReport("one-1", version, 1, digest, seen, unlike, p_value))


def copied(folder: Path, file: Path) -> Path:
    """A copy of a file in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(file, folder / file.name))
