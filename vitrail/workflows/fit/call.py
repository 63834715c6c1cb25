"""`vitrail.fit` and `vitrail.plan`: what users call. Both read the images in other processes while torch is imported.

That is why the second half of a fit is imported here, within the functions, and only when its first half is under way.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitrail.basics.calls import call_text
from vitrail.basics.events import Emit
from vitrail.pages.progress import sink_or_bars
from vitrail.workflows.fit.start import start_fit

if TYPE_CHECKING:
    from vitrail.workflows.fit.plan import PlanResult
    from vitrail.workflows.fit.result import FitResult


def fit(
    data: Any,
    *,
    model: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    command: str | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> "FitResult":
    """Fit a classifier on labelled images and package it.

    Args:
        data: as for `check`.
        model: `starter`, timm name, `hf-hub:org/name`, `local-dir:FOLDER`, a folder, or a weights file; None: the
            usual one where its weights are on this machine or the hub answers, else `starter`.
        out: the run folder; None: `runs/NAME-OF-THE-DATA`. An interrupted run with the same settings is continued.
        overwrite: replace a run that stands there.
        workers: processes that read images; None: one per core.
        command: how the run is described in its report; None: as this call.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: any of `FitSettings`' names, e.g. `seed=1`, `image_size=96`, `on_bad_image="skip"`.

    Returns:
        Run folder, package, report and figures; `print` shows them, and what to do next.

    Raises:
        FindingsError: the check found what must be mended first.
        InputError: data, model or settings are not as expected.
        SystemFault: disk, permission or network.
    """
    call = command or call_text(
        fit, data, model=model, out=out, overwrite=overwrite, workers=workers, **settings
    )  # fmt: skip
    with sink_or_bars(emit) as emit:
        started = start_fit(data, out=out, overwrite=overwrite, workers=workers)
        from vitrail.workflows.fit.finish import finish_fit
        from vitrail.workflows.fit.model import chosen_fit

        return finish_fit(started, chosen_fit(model, settings, run=started.out), command=call, emit=emit)


def plan(
    data: Any,
    *,
    model: str | None = None,
    workers: int | None = None,
    emit: Emit | None = None,
    **settings: Any,
) -> "PlanResult":
    """What `fit` would train with the same arguments: stages, steps, learning rates, estimated times.

    Args:
        data: as for `check`.
        model: as for `fit`.
        workers: processes that read images; None: one per core.
        emit: receives progress events; None: bars on a terminal and in a notebook; `vitrail.nobody`: silence.
        settings: as for `fit`.

    Returns:
        The plan; `print` shows it as tables. Nothing is trained, and nothing is left on the disk.

    Raises:
        FindingsError: the check found what must be mended first.
        InputError: data, model or settings are not as expected.
    """
    with sink_or_bars(emit) as emit:
        started = start_fit(data, out=None, overwrite=False, workers=workers)
        from vitrail.workflows.fit.model import chosen_fit
        from vitrail.workflows.fit.plan import finish_plan

        return finish_plan(started, chosen_fit(model, settings, run=started.out).settings, emit=emit)
