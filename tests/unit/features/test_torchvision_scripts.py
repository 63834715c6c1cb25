"""A script written for torchvision's extractor runs with one import line changed, and prints the same."""

import sys
import warnings

import pytest

from tests.processes import running

THEIRS = "from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names"
OURS = "from vitrail.features import create_feature_extractor, get_graph_node_names"
SCRIPT = """
import torch, torchvision
IMPORT

torch.manual_seed(0)
model = torchvision.models.resnet18(num_classes=3)
train_nodes, eval_nodes = get_graph_node_names(model)
print(train_nodes == eval_nodes, eval_nodes[:5], eval_nodes[-1], len(eval_nodes))

images = torch.rand(2, 3, 64, 64)
for nodes in (["layer1", "layer4.1.relu_1", "flatten"], {"layer1": "low", "layer3.0.conv2": "mid", "avgpool": "top"}):
    extractor = create_feature_extractor(model, return_nodes=nodes).eval()
    with torch.no_grad():
        features = extractor(images)
    print([(name, tuple(tensor.shape), round(tensor.sum().item(), 3)) for name, tensor in features.items()])

both = create_feature_extractor(model, train_return_nodes=["layer1"], eval_return_nodes={"layer2.0.conv1": "late"})
print(list(both.train()(images)), list(both.eval()(images)))

kwargs = {"leaf_modules": [torchvision.models.resnet.BasicBlock]}
names = get_graph_node_names(model, tracer_kwargs=kwargs, suppress_diff_warning=True)[1]
print([name for name in names if name.startswith("layer4")])
extractor = create_feature_extractor(model.eval(), ["layer4.1", "fc"], None, None, {**kwargs}, True)
print([tuple(tensor.shape) for tensor in extractor(images).values()])
print(sum(p.numel() for p in torch.nn.ModuleDict({"features": extractor}).parameters()) > 0)
"""


def script(import_line: str) -> None:
    """The script with one of the two import lines; a warning ends it."""
    warnings.simplefilter("error")
    exec(SCRIPT.replace("IMPORT", import_line), {})
    sys.stdout.flush()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    texts = {}
    for line in (THEIRS, OURS):
        file = tmp_path_factory.mktemp("script") / "printed"
        with running(script, line, printed=file) as process:
            code = process.wait()
        texts[line] = file.read_text()
        assert code == 0, texts[line]
    return texts


def test_a_script_for_torchvisions_extractor_prints_the_same_with_one_line_changed(printed: dict[str, str]) -> None:
    assert printed[OURS] == printed[THEIRS]
    assert "layer4.1.relu_1" in printed[OURS]
