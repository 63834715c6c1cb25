"""Vitrail: from a folder of labelled images to a packaged, honestly judged Vision Transformer.

The four things to know: `check` looks at a data set, `fit` makes a package from it, `load` makes a predictor from the
package, and every error has a hint. Nothing heavy is imported until one of them is called.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.basics.events import Event, nobody

if TYPE_CHECKING:
    from torch import nn

    from vitrail.data.inspection import Inspection
    from vitrail.data.tables import NamedColumns
    from vitrail.features.extractor import FeatureExtractor
    from vitrail.features.store.reader import FeatureStore
    from vitrail.prediction.predictor import Predictor
    from vitrail.workflows.features.write import FeaturesResult
    from vitrail.workflows.fit.finish import FitResult
    from vitrail.workflows.fit.plan import PlanResult
    from vitrail.workflows.nodes import NodesResult
    from vitrail.workflows.pretrain.formula import PretrainResult

__version__ = "0.1.0"
__all__ = [
    "check", "create_feature_extractor", "fit", "load", "nodes", "open_features", "plan", "pretrain_formula", "table",
    "write_features",
]  # fmt: skip


def check(
    data: Any,
    *,
    workers: int | None = None,
    against: str | Path | None = None,
    emit: Callable[[Event], None] = nobody,
) -> "Inspection":
    """Look at a data set: classes, splits, unreadable files, duplicates, leaks, telltale file properties.

    Args:
        data: a folder, a CSV or Parquet file, a pyarrow table, a pandas frame, one of these with column names of its
            own (`table`), or `"digits"`.
        workers: processes that read images; None: one per core.
        against: a package, or the run that made it: a finding says which images it was trained on.
        emit: receives progress events.

    Returns:
        Findings by severity, a summary, and the table with what was learned of every file.

    Raises:
        InputError: there is no such data, it holds no images, or a column is missing.
    """
    from vitrail.workflows.check import check as run

    return run(data, workers=workers, against=against, emit=emit)


def table(data: Any, **columns: str) -> "NamedColumns":
    """A table in which some columns have names of their own: `fit(table("labels.csv", label="dx", group="patient"))`.

    Args:
        data: a CSV or Parquet file, a pyarrow table or a pandas frame.
        columns: its names for any of `path`, `label`, `split`, `group` and `frame`.
    """
    from vitrail.data.tables import NamedColumns

    return NamedColumns(data, columns)


def fit(
    data: Any,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str = "vitrail.fit(...)",
    emit: Callable[[Event], None] = nobody,
    **settings: Any,
) -> "FitResult":
    """Fit a classifier on labelled images and package it.

    Args:
        data: as for `check`.
        model: `starter`, timm name, `hf-hub:org/name`, `local-dir:FOLDER`, a folder, or a weights file; None: the
            usual one where its weights are on this machine or the hub answers, else `starter`.
        out: the run folder; None: `runs/NAME-OF-THE-DATA`.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        command: how the run is described in its report.
        emit: receives progress events.
        settings: any of `FitSettings`' names, e.g. `seed=1`, `image_size=96`, `on_bad_image="skip"`.

    Raises:
        FindingsError: the check found what must be mended first.
        InputError: data, model or settings are not as expected.
        SystemFault: disk, permission or network.
    """
    from vitrail.workflows.fit.start import start_fit

    # The images are read in other processes while this one imports torch, timm and scikit-learn.
    started = start_fit(data, out=out, overwrite=overwrite, workers=workers)
    from vitrail.workflows.fit.finish import finish_fit
    from vitrail.workflows.fit.model import chosen_fit

    return finish_fit(started, chosen_fit(model, settings, run=started.out), command=command, emit=emit)


def plan(
    data: Any,
    *,
    model: str | None = None,
    workers: int | None = None,
    emit: Callable[[Event], None] = nobody,
    **settings: Any,
) -> "PlanResult":
    """What `fit` would train with the same arguments: stages, steps, learning rates, estimated times.

    Raises:
        FindingsError: the check found what must be mended first.
        InputError: data, model or settings are not as expected.
    """
    from vitrail.workflows.fit.start import start_fit

    started = start_fit(data, out=None, overwrite=False, workers=workers)
    from vitrail.workflows.fit.model import chosen_fit
    from vitrail.workflows.fit.plan import finish_plan

    return finish_plan(started, chosen_fit(model, settings, run=started.out).settings, emit=emit)


def pretrain_formula(
    *,
    out: str | Path = "runs/formula",
    recipe: str | Path | None = None,
    images: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str = "vitrail.pretrain_formula(...)",
    emit: Callable[[Event], None] = nobody,
    **settings: Any,
) -> "PretrainResult":
    """Pretrain a ViT on images computed from formulas; `fit` starts from it with `model="local-dir:OUT/package"`.

    Args:
        out: the run folder; an interrupted run with the same settings is continued.
        recipe: settings of another run: its `settings.json`, or the `pretraining.json` of its weights.
        images: where formula images are kept, for all runs; None: in Vitrail's cache.
        overwrite: replace a run that stands there.
        workers: processes that render images; None: one per core.
        command: how the run is described in its report.
        emit: receives progress events.
        settings: any of `PretrainSettings`' names, e.g. `steps=20_000`, `classes=1000`, `width=192`; they stand above
            the recipe's.

    Raises:
        InputError: settings are not as expected, or another run stands there.
        SystemFault: disk or permission.
        TrainingFault: the loss is no longer finite.
    """
    from vitrail.workflows.pretrain.formula import pretrain_formula as run
    from vitrail.workflows.pretrain.recipe import recipe_values
    from vitrail.workflows.pretrain.settings import PretrainSettings

    values = {**({} if recipe is None else recipe_values(Path(recipe))), **settings}
    return run(
        PretrainSettings.gather(**values), out=Path(out), images=None if images is None else Path(images),
        overwrite=overwrite, workers=workers, command=command, emit=emit,
    )  # fmt: skip


def load(package: str | Path, *, device: str = "auto", runtime: str = "torch float32") -> "Predictor":
    """Load a package into a predictor: `load("runs/ants/package").predict("photo.jpg")`.

    Args:
        package: its folder.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        runtime: `auto`, `torch`, `openvino` or `onnx` (all in float32), or a full name such as `openvino bfloat16`.

    Raises:
        PackageError: the folder is no package, is damaged, or was written by a newer Vitrail.
        InputError: there is no such device or runtime.
    """
    from vitrail.prediction.predictor import load as run

    return run(package, device=device, runtime=runtime)


def create_feature_extractor(
    model: "nn.Module", return_nodes: Any = None, *others: Any, **options: Any
) -> "FeatureExtractor":
    """Make a module that gives what is computed at named places inside any model: `(model, ["layer4"])`.

    Args:
        model: any module of PyTorch.
        return_nodes: a name, a list of names and patterns, or a dictionary from names to output names.
        others: torchvision's further arguments, in its order.
        options: see `vitrail.features.create_feature_extractor`, e.g. `reduce="cls"`.

    Raises:
        InputError: an unknown or ambiguous name, or a node that cannot be reached.
    """
    from vitrail.features.extractor import create_feature_extractor as run

    return run(model, return_nodes, *others, **options)


def nodes(model: "str | nn.Module", *patterns: str, example: Any = None, depth: int | None = None) -> "NodesResult":
    """Look inside a model: modules with output shape, parameters, share of the work and calls, and operations.

    Args:
        model: a module of PyTorch, or what `fit` takes: timm name, hub name, folder.
        patterns: names or patterns of modules; none: all.
        example: what a module of PyTorch takes, e.g. images (B, C, H, W); several things as a tuple, or as a dictionary
            by name.
        depth: most parts that a name may have; None: any.

    Raises:
        InputError: no such model, no module matches, the example is missing or does not fit, or the model is compiled
            or scripted.
    """
    from vitrail.workflows.nodes import nodes as run

    return run(model, patterns, example=example, depth=depth)


def write_features(
    model: str,
    data: Any,
    *,
    out: str | Path,
    overwrite: bool = False,
    workers: int | None = None,
    emit: Callable[[Event], None] = nobody,
    **settings: Any,
) -> "FeaturesResult":
    """Write what a model makes of every image into a feature store; what `vitrail features` does.

    Args:
        model: a package, or as for `fit`.
        data: as for `check`; labels may be missing, and images may lie in a folder without classes.
        out: the store's folder. A store that stands there is continued, or added to; images that are in it keep the
            labels and splits they were added with.
        overwrite: replace a store that was made in another way, or is finished.
        workers: processes that read images; None: one per core.
        emit: receives progress events.
        settings: any of `FeaturesSettings`' names, e.g. `nodes="blocks.3=cls,norm=mean"`, `dtype="float16"`.

    Raises:
        FindingsError: images could not be read, and `on_bad_image="skip"` was not given; all others are in the store.
        InputError: data, model or settings are not as expected, or the store there was made in another way.
        SystemFault: disk, permission or network.
    """
    from vitrail.workflows.features.settings import FeaturesSettings
    from vitrail.workflows.features.write import write_features as run

    chosen = FeaturesSettings.gather(name=model, **settings)
    result = run(data, chosen, out=Path(out), overwrite=overwrite, workers=workers, emit=emit)
    if chosen.on_bad_image == "stop":
        result.refuse_failures()
    return result


def open_features(folder: str | Path, *, unfinished: bool = False) -> "FeatureStore":
    """Open a feature store: `open_features("features/ants").split("train").numpy("pooled")`.

    Args:
        folder: what `vitrail features` was given as `--out`.
        unfinished: accept a store whose pass is not finished, and show the part that is.

    Raises:
        InputError: no store, an unfinished or damaged one, or one that a newer Vitrail wrote.
    """
    from vitrail.features.store.reader import open_features as run

    return run(folder, unfinished=unfinished)
