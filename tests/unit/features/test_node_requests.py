import pytest

from vitrail.basics.errors import InputError
from vitrail.features.node_requests import NodeRequest, parse_nodes

HINT = "hint: write node or node=reduction, with commas between, e.g. --nodes blocks.3=cls,norm=mean"


def test_requests_are_nodes_with_or_without_a_reduction_in_the_order_they_are_typed():
    assert parse_nodes(" norm , blocks.3=cls,layer1.0.add=map") == (
        NodeRequest("norm"),
        NodeRequest("blocks.3", "cls"),
        NodeRequest("layer1.0.add", "map"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("norm,,head", f"--nodes 'norm,,head': there is no node in ''\n{HINT}"),
        ("=cls", f"--nodes '=cls': there is no node in '=cls'\n{HINT}"),
        ("", f"--nodes '': there is no node in ''\n{HINT}"),
        (
            "norm=meen",
            "--nodes 'norm=meen': 'meen' is no reduction, one of cls, mean, tokens, map was expected\n"
            "hint: did you mean mean?",
        ),
        ("norm=", f"--nodes 'norm=': '' is no reduction, one of cls, mean, tokens, map was expected\n{HINT}"),
        (
            "norm=cls,norm=mean",
            "--nodes 'norm=cls,norm=mean': 'norm' is asked for twice, its name can stand for one output only\n"
            "hint: ask for norm=tokens, which holds both, or write two stores",
        ),
        (
            "pooled=mean",
            "--nodes 'pooled=mean': 'pooled' is one vector already, it takes no reduction\nhint: write pooled",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_way_out(text, message):
    with pytest.raises(InputError) as refusal:
        parse_nodes(text)
    assert str(refusal.value) == message
