"""The journeys: what is typed, on which images, and where a process is killed. Only the command line is used."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.compare.checkout import NotRun

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Images:
    """Some images of a folder of `VITRAIL_REAL_DATA`, copied into a folder of the journey."""

    source: str
    into: str
    count: int

    def chosen(self, real_data: Path) -> list[Path]:
        """`count` files, evenly spread over the sorted names."""
        files = sorted(file for file in (real_data / self.source).iterdir() if file.suffix.lower() in SUFFIXES)
        if len(files) < self.count:
            raise NotRun(f"{real_data / self.source} holds {len(files)} images, {self.count} are needed")
        return [files[number * len(files) // self.count] for number in range(self.count)]


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        typed: what stands behind `vitrail`.
        kill_behind_line: the process gets SIGKILL when it is about to append the line behind this one, counted from its
            own beginning, to `metrics.jsonl`; 0: it is let go to its end.
        codes: exit codes that are as expected.
    """

    typed: tuple[str, ...]
    kill_behind_line: int = 0
    codes: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Journey:
    """Commands in a folder of their own, one after the other; `same_as` names the journey that must end alike."""

    name: str
    images: tuple[Images, ...]
    steps: tuple[Step, ...]
    same_as: str | None = None

    def lay_out(self, folder: Path, real_data: Path) -> None:
        """Copy the images, and put links to the weights, so that everything is named by relative paths."""
        for each in self.images:
            (folder / each.into).mkdir(parents=True)
            for file in each.chosen(real_data):
                shutil.copy(file, folder / each.into / file.name)
        for weights in WEIGHTS:
            (folder / weights).symlink_to(real_data / weights)

    def inputs(self) -> set[str]:
        """Names in the journey's folder that `lay_out` has put there."""
        return {each.into.split("/")[0] for each in self.images} | set(WEIGHTS)

    def name_of(self, step: Step) -> str:
        """Begins the names of files with what a step printed; the same, whether it was killed before or not."""
        commands = list(dict.fromkeys(each.typed for each in self.steps))
        killed = f"killed-{self.steps.index(step) + 1}-" if step.kill_behind_line else ""
        return f"{killed}{commands.index(step.typed) + 1}-{step.typed[0]}"

    def digest(self, real_data: Path, killing: str) -> str:
        """Changes with whatever would make another result: commands, kills, images, and how a process is killed."""
        files = [file.relative_to(real_data).as_posix() for each in self.images for file in each.chosen(real_data)]
        return hashlib.sha256(repr((self, files, killing)).encode()).hexdigest()[:12]


WEIGHTS = ("vit_tiny_in1k", "efficientnet_lite0_in1k")
TINY = ("--model", "local-dir:vit_tiny_in1k")
CNN = ("--model", "local-dir:efficientnet_lite0_in1k")

ANTS_AND_BEES = tuple(
    Images(f"hymenoptera/{split}/{label}", f"insects/{split}/{label}", count)
    for split, count in (("train", 24), ("val", 14))
    for label in ("ants", "bees")
)
SLICES = tuple(Images(f"covid_ct/train/{label}", f"slices/{label}", 30) for label in ("CT_COVID", "CT_NonCOVID"))
"""No split above the classes: it is drawn."""


def step(*typed: str, kill_behind_line: int = 0, codes: tuple[int, ...] = (0,), **settings: Any) -> Step:
    """One command; keywords are typed as `--set name=value`."""
    values = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return Step((*typed, *values), kill_behind_line, codes)


def fit(data: str, *typed: str, out: str = "run", kill_behind_line: int = 0, **settings: Any) -> Step:
    """A fit without worker processes, but where `typed` asks for them."""
    return step(
        "fit", data, "--out", out, "--workers", "0", *typed, kill_behind_line=kill_behind_line, **settings
    )  # fmt: skip


def predict(images: str, run: str = "run", form: str = "--csv") -> Step:
    """Answers to all images of a folder."""
    return step("predict", run, images, form)


def staged_fit(kill_behind_line: int = 0) -> Step:
    """All stages, over cached views, each step in parts; a checkpoint and a line of metrics behind every step.

    A weak probe and a slow head leave something to the last stage: what is kept is one of its epochs, so that all its
    weights are compared.
    """
    return fit(
        "insects", *TINY, "--image-size", "96", "--stages", "head,top,all", kill_behind_line=kill_behind_line,
        head_epochs=3, top_epochs=2, all_epochs=2, views=2, cache="on", images_per_step=12, accumulate=3, clip=0.5,
        label_smoothing=0.1, class_weights="balanced", drop_path=0.1, strengths="[1e-6]", head_learning_rate="1e-4",
        learning_rate="3e-4", in_doubt="trained", checkpoint_seconds=0,
    )  # fmt: skip


def pretraining(kill_behind_line: int = 0) -> Step:
    """Six steps on forty formula images, mixed, in parts, at two sizes."""
    return step(
        "pretrain", "formula", "--out", "pretrained", "--steps", "6", "--images", "formula-images", "--workers", "0",
        kill_behind_line=kill_behind_line, classes=10, renderings=4, image_size=32, sizes="[16,32]", steps_per_epoch=3,
        images_per_step=16, mixup=0.3, depth=2, drop_path=0.1, drop_patches=0.2, accumulate=2, clip=0.5,
        checkpoint_seconds=0,
    )  # fmt: skip


FIT_OF_PRETRAINED = fit(
    "insects", "--model", "local-dir:pretrained/package", "--stages", "all", all_epochs=1, in_doubt="trained"
)
JOURNEYS = (
    Journey(
        "probe",
        (*ANTS_AND_BEES, *SLICES),
        (
            step("check", "insects", "--json", "--workers", "0", codes=(0, 1)),
            fit("insects", *TINY, "--preset", "quick", "--json", out="insects-run"),
            predict("insects/val", "insects-run"),
            fit("slices", *TINY, "--preset", "quick", "--image-size", "128", out="slices-run", test_fraction=0.2),
            predict("slices", "slices-run", "--json"),
        ),
    ),
    Journey("staged", ANTS_AND_BEES, (staged_fit(), predict("insects/val"))),
    Journey(
        "staged, killed",
        ANTS_AND_BEES,
        # 15 lines are of the head stage, 10 of the top stage: killed in the second epochs of top and of all
        (staged_fit(kill_behind_line=22), staged_fit(kill_behind_line=10), staged_fit(), predict("insects/val")),
        same_as="staged",
    ),
    Journey(
        "features",
        (*ANTS_AND_BEES, *SLICES),
        (
            step("features", TINY[1], "insects", "--out", "store", "--image-size", "96", "--workers", "0", "--dtype",
                 "float16", "--nodes", "blocks.3=cls,blocks.5=mean,blocks.8=tokens,blocks.9=map,norm,pooled"),
            step("features", CNN[1], "slices", "--out", "store-cnn", "--image-size", "64", "--workers", "0",
                 "--nodes", "blocks.2=map,blocks.4=mean,pooled", "--runtime", "torch float32"),
            step("nodes", TINY[1], "--json"),
        ),
    ),
    Journey(
        "scratch",
        SLICES,
        (
            fit("slices", *TINY, "--image-size", "96", "--compare", "scratch", "--stages", "top,all", top_epochs=1,
                all_epochs=2, images_per_step=12, optimizer="sgd", learning_rate=0.02, training_precision="float32",
                precision="float32", gradient_checkpointing="true", carry_optimizer="true", cache="off",
                in_doubt="trained", test_fraction=0.2, checkpoint_seconds=0),
            predict("slices"),
        ),
    ),
    Journey(
        "cnn",
        SLICES,
        (
            fit("slices", *CNN, "--image-size", "96", "--stages", "head,all", head_epochs=1, all_epochs=2,
                images_per_step=12, learning_rate="1e-4", in_doubt="trained", checkpoint_seconds=0),
            predict("slices"),
        ),
    ),
    Journey(
        "study staged",
        (*ANTS_AND_BEES, *SLICES),
        (
            step("study", "staged", "insects", "slices", *TINY, "--seeds", "1", "--out", "study", "--workers", "0",
                 "--json", image_size=64, head_epochs=1, top_epochs=1, all_epochs=1),
        ),
    ),
    Journey(
        "study starter",
        ANTS_AND_BEES,
        (
            step("study", "starter", "insects", "--seeds", "1", "--out", "study", "--workers", "0", "--image-size",
                 "32", "--epochs", "2", "--rates", "1e-3", "--train", "24"),
        ),
    ),
    Journey(
        "pretrain",
        ANTS_AND_BEES,
        (pretraining(), FIT_OF_PRETRAINED),
    ),
    Journey(
        "pretrain, killed",
        ANTS_AND_BEES,
        (pretraining(kill_behind_line=2), pretraining(), FIT_OF_PRETRAINED),
        same_as="pretrain",
    ),
    Journey(
        "starter",
        ANTS_AND_BEES,
        (
            fit("insects", "--plan", "--json", out="plan"),
            fit("insects", "--workers", "1", all_epochs=2, checkpoint_seconds=0),
            predict("insects/val"),
        ),
    ),
)  # fmt: skip
