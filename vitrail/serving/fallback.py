"""Which models are asked for an answer, one after the other."""

from vitrail.traffic.routes import Arm, Routes


def order_of_models(routes: Routes, arm: Arm) -> tuple[str, ...]:
    """The arm's own model, then the routes' fallback list without it; without a list: the models of all stable arms.

    A canary that fails is thus answered for by what served before it. Whether a model is asked at all is for its
    breaker to say.

    >>> routes = Routes(1, (Arm("a", "ants", weight=80.0), Arm("b", "bees", weight=20.0)))
    >>> order_of_models(routes, routes.arms[1])
    ('bees', 'ants')
    """
    others = routes.fallback or tuple(each.model for each in routes.stable_arms)
    return tuple(dict.fromkeys((arm.model, *others)))
