"""Vitrail: from a folder of labelled images to a packaged, honestly judged Vision Transformer.

The four things to know: `check` looks at a data set, `fit` makes a package from it, `load` makes a predictor from the
package, and every error has a hint. Nothing heavy is imported until one of them is asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # to type checkers and editors these names are here; `__getattr__` below brings them when asked
    from vitrail.basics.events import nobody
    from vitrail.data.named_columns import table
    from vitrail.features.attention.map import attention_map
    from vitrail.features.extractor import create_feature_extractor
    from vitrail.features.store.reader import open_features
    from vitrail.prediction.predictor import load
    from vitrail.rollout.versioned_package import package_of_version
    from vitrail.workflows.admit import admit
    from vitrail.workflows.check import check
    from vitrail.workflows.compare import compare
    from vitrail.workflows.decide import decide, decide_by_group
    from vitrail.workflows.evaluate import evaluate
    from vitrail.workflows.features.write import write_features
    from vitrail.workflows.fit.call import fit, plan
    from vitrail.workflows.look import look
    from vitrail.workflows.nodes import nodes
    from vitrail.workflows.operate.deciding import (
        approve_proposal,
        decline_proposal,
        operate_status,
        resume_proposal,
        sign_proposal,
    )
    from vitrail.workflows.operate.run import operate
    from vitrail.workflows.pretrain.formula import pretrain_formula
    from vitrail.workflows.register import register
    from vitrail.workflows.rollout import (
        abort_rollout,
        conduct_rollout,
        pause_rollout,
        plan_rollout,
        promote_rollout,
        replay_rollout,
        resume_rollout,
        rollout_status,
        start_rollout,
    )
    from vitrail.workflows.serve import serve
    from vitrail.workflows.versions import retire, set_alias, sign, versions
    from vitrail.workflows.watch import watch, with_reference

__version__ = "0.1.0"
__all__ = [
    "abort_rollout", "admit", "approve_proposal", "attention_map", "check", "compare", "conduct_rollout",
    "create_feature_extractor", "decide", "decide_by_group", "decline_proposal", "evaluate", "fit", "load", "look",
    "nobody", "nodes", "open_features", "operate", "operate_status", "package_of_version", "pause_rollout", "plan",
    "plan_rollout", "pretrain_formula", "promote_rollout", "register", "replay_rollout", "resume_proposal",
    "resume_rollout", "retire", "rollout_status", "serve", "set_alias", "sign", "sign_proposal", "start_rollout",
    "table", "versions", "watch", "with_reference", "write_features",
]  # fmt: skip

_MODULES = {
    "abort_rollout": "vitrail.workflows.rollout",
    "admit": "vitrail.workflows.admit",
    "approve_proposal": "vitrail.workflows.operate.deciding",
    "attention_map": "vitrail.features.attention.map",
    "check": "vitrail.workflows.check",
    "compare": "vitrail.workflows.compare",
    "conduct_rollout": "vitrail.workflows.rollout",
    "create_feature_extractor": "vitrail.features.extractor",
    "decide": "vitrail.workflows.decide",
    "decide_by_group": "vitrail.workflows.decide",
    "decline_proposal": "vitrail.workflows.operate.deciding",
    "evaluate": "vitrail.workflows.evaluate",
    "fit": "vitrail.workflows.fit.call",
    "load": "vitrail.prediction.predictor",
    "look": "vitrail.workflows.look",
    "nobody": "vitrail.basics.events",
    "nodes": "vitrail.workflows.nodes",
    "open_features": "vitrail.features.store.reader",
    "operate": "vitrail.workflows.operate.run",
    "operate_status": "vitrail.workflows.operate.deciding",
    "package_of_version": "vitrail.rollout.versioned_package",
    "pause_rollout": "vitrail.workflows.rollout",
    "plan": "vitrail.workflows.fit.call",
    "plan_rollout": "vitrail.workflows.rollout",
    "pretrain_formula": "vitrail.workflows.pretrain.formula",
    "promote_rollout": "vitrail.workflows.rollout",
    "register": "vitrail.workflows.register",
    "replay_rollout": "vitrail.workflows.rollout",
    "resume_proposal": "vitrail.workflows.operate.deciding",
    "resume_rollout": "vitrail.workflows.rollout",
    "retire": "vitrail.workflows.versions",
    "rollout_status": "vitrail.workflows.rollout",
    "serve": "vitrail.workflows.serve",
    "set_alias": "vitrail.workflows.versions",
    "sign": "vitrail.workflows.versions",
    "sign_proposal": "vitrail.workflows.operate.deciding",
    "start_rollout": "vitrail.workflows.rollout",
    "table": "vitrail.data.named_columns",
    "versions": "vitrail.workflows.versions",
    "watch": "vitrail.workflows.watch",
    "with_reference": "vitrail.workflows.watch",
    "write_features": "vitrail.workflows.features.write",
}
"""Where each public name is at home; its module is imported when it is first asked for."""


if not TYPE_CHECKING:  # a type checker would take every misspelled name for one that is brought

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
