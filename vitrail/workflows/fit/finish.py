"""`vitrail fit`: from a data set that is being checked to a packaged classifier and a report."""

from vitrail.basics.events import Emit, nobody
from vitrail.basics.run_folder import RunFolder
from vitrail.data.group_weights import weights_words
from vitrail.evaluation.judging import judge_splits
from vitrail.evaluation.training_section import trained_words, training_section
from vitrail.features.heads import learn_heads, probe_sentence, probe_words, tell_first_figures
from vitrail.features.split_features import compute_features
from vitrail.training.arm import trained_arm
from vitrail.training.image_stages import training_weights
from vitrail.training.sinks import Watchers
from vitrail.workflows.fit.model import ChosenFit
from vitrail.workflows.fit.outcome import Fitted, fit_sections, pack, report
from vitrail.workflows.fit.preparation import prepare, refuse_other_data
from vitrail.workflows.fit.reference import reference_of_fit
from vitrail.workflows.fit.result import FitResult
from vitrail.workflows.fit.scratch import gained_by_pretraining
from vitrail.workflows.fit.splits import EarlierSplits, keep_split
from vitrail.workflows.fit.start import StartedFit


def finish_fit(started: StartedFit, chosen: ChosenFit, *, command: str, emit: Emit = nobody) -> FitResult:
    """Fit a probe on frozen pretrained features, train beyond it, keep the better one; judge, package and report it.

    Args:
        started: a fit whose images are being read while this function builds the model.
        chosen: everything that can be set, and why this model.
        command: how the user called it, for the report.
        emit: receives progress.

    Raises:
        FindingsError: the check found something that must be mended first.
        VitrailError: see the parts. Whatever happens, the same call continues where it was.
    """
    watch, name, settings = started.watch, started.check.images.name, chosen.settings
    earlier = EarlierSplits.of(started, settings)
    with (
        RunFolder.open(started.out, settings.model_dump(mode="json"), overwrite=started.overwrite) as run,
        Watchers(run.journaled(emit), settings.log, folder=run.path, name=name) as emit,
    ):
        prepared = prepare(started, settings, before=earlier.kept, emit=emit)
        model, images = prepared.model, prepared.images
        refuse_other_data(run, prepared, overwrite=started.overwrite)
        moved = keep_split(run, images, earlier, data=name, emit=emit)
        chosen.tell(run, emit)
        watch.lap("check")
        features = compute_features(run, model, images, settings.pass_, emit=emit)
        watch.lap("features")
        weights = training_weights(images, settings.training)
        heads = learn_heads(features.by_split, images, settings.probe, seed=settings.seed, emit=emit, weights=weights)
        model.set_head(heads.probe.weight, heads.probe.bias)
        tell_first_figures(heads, images, emit)
        watch.lap("probe")
        arm = trained_arm(run, model, images, settings.arm, probe=heads.logits, runtime=features.runtime, emit=emit)
        watch.lap("training")
        gained = gained_by_pretraining(run, prepared, settings, arm, runtime=features.runtime, emit=emit)
        watch.lap("scratch")
        judged = judge_splits(arm.logits, heads.neighbours, images, seed=settings.seed)
        told = (
            *(*chosen.sentences, *moved),
            f"Training features in {features.reason}.",
            probe_sentence(heads.probe, settings.probe.folds),
            *weights_words(weights, settings.training.reweight_by),
            *(() if arm.trained else arm.plan.remarks),
        )
        training, trained = training_section(arm, model, images), trained_words(arm) or probe_words(heads.probe)
        fitted = Fitted(name, prepared, judged, told, trained, training, gained)
        sections = fit_sections(fitted, thumbnails=settings.thumbnails, package=run.path / "package")
        reference = reference_of_fit(prepared, settings, features, heads, arm, emit=emit)
        watch.lap("reference")
        package = pack(fitted, sections, run.cleared("package"), reference=reference, seed=settings.seed)
        watch.lap("package")
        page = report(fitted, sections, run.path, command=command, seed=settings.seed, timings=watch.laps)
        run.finish()
    by_name, passed_over = {section.name: section for section in sections}, started.check.images.passed_over
    return FitResult(run.path, package, page, judged, watch.total, passed_over, by_name)
