import copy

import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
import torchvision
from torch import nn

from tests.contracts.architectures import Deciding
from vitrail.basics.errors import InputError
from vitrail.features.attention.layers import NoTokenAttention
from vitrail.features.attention.reader import AttentionReader
from vitrail.features.attention.watching import AttentionWatch

TINY = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 5}


def _timm(name, **arguments):
    torch.manual_seed(0)
    model = timm.create_model(name, **{**TINY, **arguments}).eval()
    with torch.no_grad():  # so that attention is far from uniform and all logits differ
        for each in model.parameters():
            each.add_(0.3 * torch.randn_like(each))
    return model


def _hugging_face(kind, **arguments):
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        num_labels=5, **arguments,
    )  # fmt: skip
    return getattr(transformers, f"{kind}ForImageClassification")(config).eval()


FAMILIES = {
    "plain": (lambda: _timm("vit_tiny_patch16_224"), 1, (0,)),
    "registers": (lambda: _timm("vit_tiny_patch16_224", reg_tokens=4), 5, (0,)),
    "no class token": (lambda: _timm("vit_tiny_patch16_224", class_token=False, global_pool="avg"), 0, range(16)),
    "class token but averaged": (lambda: _timm("vit_tiny_patch16_224", global_pool="avg"), 1, range(1, 17)),
    "normed queries": (lambda: _timm("vit_tiny_patch16_224", qk_norm=True), 1, (0,)),
    "distilled": (lambda: _timm("deit_tiny_distilled_patch16_224"), 2, (0, 1)),
    "rotated": (lambda: _timm("eva02_tiny_patch14_224"), 1, range(1, 17)),
    "rotated, registers": (lambda: _timm("vit_small_patch16_dinov3"), 5, range(5, 21)),
    "relative": (lambda: _timm("vit_relpos_small_patch16_224"), 0, range(16)),
    "beit": (lambda: _timm("beit_base_patch16_224"), 1, range(1, 17)),
    "attention pooling": (lambda: _timm("vit_base_patch16_siglip_224"), 0, range(16)),
    "parallel": (lambda: _timm("vit_pwee_patch16_reg1_gap_256"), 1, range(1, 17)),
    "torchvision": (lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=5).eval(), 1, (0,)),
    "transformers": (lambda: _hugging_face("ViT"), 1, (0,)),
    "transformers, written out": (lambda: _hugging_face("ViT", attn_implementation="eager"), 1, (0,)),
    "transformers, dinov2": (lambda: _hugging_face("Dinov2"), 1, (0,)),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    build, prefix, answering = FAMILIES[request.param]
    return build(), prefix, tuple(answering)


@pytest.fixture(scope="module")
def plain():
    return _timm("vit_tiny_patch16_224")


def _images(count=3, *, size=(32, 32)):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def _answer(model, x):
    with torch.no_grad():
        found = model(x)
    return getattr(found, "logits", found)


def _reader(model, x):
    return AttentionReader(model, x[:1])


class _Oracle(nn.Module):
    """Runs a model, and asks PyTorch's fused attention for its matrix by giving it the identity for values."""

    @staticmethod
    def matrices(model, x):
        found, real = [], F.scaled_dot_product_attention

        def asked(q, k, v, **arguments):
            identity = torch.eye(k.shape[-2]).expand(*k.shape[:-1], -1)
            found.append(real(q, k, identity, **arguments))
            return real(q, k, v, **arguments)

        F.scaled_dot_product_attention = asked
        try:
            _answer(model, x)
        finally:
            F.scaled_dot_product_attention = real
        return found


def test_attention_of_every_family_is_read_and_its_rows_sum_to_one(family):
    model, prefix, answering = family
    x = _images()
    found = _reader(model, x).read(x)
    assert (found.layers.prefix, found.layers.grid, found.layers.answering) == (prefix, (4, 4), answering)
    assert len(found.weights) == 2
    for weights in found.weights.values():
        assert weights.shape == (3, 2, prefix + 16, prefix + 16)
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, prefix + 16))


def test_reading_changes_no_answer(family):
    model, *_ = family
    x = _images()
    before = _answer(model, x)
    reader = _reader(model, x)
    torch.testing.assert_close(reader.read(x).logits, before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(reader.explained(x).logits, before, atol=1e-5, rtol=1e-5)
    assert torch.equal(_answer(model, x), before)


@pytest.mark.parametrize(
    "name", ["plain", "registers", "rotated", "relative", "beit", "normed queries", "transformers"]
)
def test_attention_is_what_the_fused_kernel_uses(name):
    model, x = FAMILIES[name][0](), _images()
    if name == "transformers":  # its call has other names; the written-out twin is the oracle
        twin = FAMILIES["transformers, written out"][0]()
        expected = list(_reader(twin, x).read(x).weights.values())
    else:
        expected = _Oracle.matrices(model, x)
    for found, matrix in zip(_reader(model, x).read(x).weights.values(), expected, strict=True):
        torch.testing.assert_close(found, matrix, atol=2e-6, rtol=1e-4)


def test_fused_and_written_out_attention_are_the_same(plain):
    x = _images()
    written = copy.deepcopy(plain)
    for block in written.blocks:
        block.attn.fused_attn = False
    for one, other in zip(
        _reader(plain, x).read(x).weights.values(), _reader(written, x).read(x).weights.values(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-4)


def test_pytorchs_own_weights_are_those_that_are_read():
    model, x = FAMILIES["torchvision"][0](), _images()
    seen = []
    layer = model.encoder.layers[0].self_attention
    with layer.register_forward_hook(lambda module, args, output: seen.append(args[0])):
        _answer(model, x)
    with torch.no_grad():
        _, expected = layer(seen[0], seen[0], seen[0], need_weights=True, average_attn_weights=False)
    torch.testing.assert_close(_reader(model, x).read(x).weights[0], expected)


@pytest.mark.parametrize(("causal", "mask"), [(False, None), (False, "bool"), (False, "float"), (True, None)])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_masks_scales_and_shared_heads_are_those_of_the_kernel(causal, mask, scale):
    draw = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(2, heads, 5, 8, generator=draw) for heads in (4, 2, 2))
    drawn = torch.randn(5, 5, generator=draw)
    arguments = {
        "attn_mask": {None: None, "bool": (drawn > -0.5) | torch.eye(5, dtype=torch.bool), "float": drawn}[mask],
        "is_causal": causal, "scale": scale, "enable_gqa": True,
    }  # fmt: skip
    taken = []
    with AttentionWatch(lambda seen, weights: taken.append(weights)):
        out = F.scaled_dot_product_attention(q, k, v, **arguments)
    identity = torch.eye(5).expand(2, 2, 5, 5)
    torch.testing.assert_close(taken[0], F.scaled_dot_product_attention(q, k, identity, **arguments))
    torch.testing.assert_close(taken[0] @ v.repeat_interleave(2, dim=1), out)


def test_a_batch_gives_what_its_images_give_alone(family):
    model, *_ = family
    x = _images()
    reader = _reader(model, x)
    together = reader.explained(x)
    for number in range(3):
        alone = reader.explained(x[number : number + 1], together.classes[number : number + 1])
        for kind in ("rollout", "relevance", "map", "distances"):
            torch.testing.assert_close(
                getattr(together, kind)()[number], getattr(alone, kind)()[0], atol=1e-5, rtol=1e-3
            )


def test_images_in_another_order_give_their_maps_in_that_order(plain):
    x, order = _images(), [2, 0, 1]
    reader = _reader(plain, x)
    one, other = reader.explained(x), reader.explained(x[order])
    for kind in ("rollout", "relevance", "map"):
        torch.testing.assert_close(getattr(one, kind)()[order], getattr(other, kind)(), atol=1e-6, rtol=1e-4)


def test_a_grid_of_two_by_three_patches_gives_maps_of_two_by_three():
    model = _timm("vit_tiny_patch16_224", img_size=(16, 24), reg_tokens=4)
    x = _images(size=(16, 24))
    found = _reader(model, x).explained(x)
    assert found.layers.grid == (2, 3)
    assert found.layers.tokens == 5 + 6
    for kind in ("rollout", "relevance", "map"):
        assert getattr(found, kind)().shape == (3, 2, 3)
    assert found.distances().shape == (3, 2, 2)


def test_a_map_is_the_class_tokens_row_without_the_prefix(plain):
    x = _images()
    found = _reader(plain, x).read(x)
    assert torch.equal(found.map(-1, 1), found.weights[1][:, 1, 0, 1:].reshape(3, 4, 4))
    torch.testing.assert_close(found.map(0, None), found.weights[0].mean(1)[:, 0, 1:].reshape(3, 4, 4))


def test_gradients_are_those_of_the_logit(plain):
    x = _images(1)
    reader = _reader(plain, x)
    found = reader.explained(x, torch.tensor([3]))
    step = 1e-3

    def logit_with(layer, head, row, column, change):
        view = reader._view
        count = 0

        def changed(q, k, v, **_):
            nonlocal count
            weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
            if count == layer:
                weights[0, head, row, column] += change
            count += 1
            return weights @ v

        real, F.scaled_dot_product_attention = F.scaled_dot_product_attention, changed
        try:
            return _answer(view.double(), x.double())[0, 3].item()
        finally:
            F.scaled_dot_product_attention = real
            view.float()

    for place in ((0, 1, 4, 7), (1, 0, 0, 5)):
        layer, *where = place
        slope = (logit_with(*place, step) - logit_with(*place, -step)) / (2 * step)
        assert found.gradients[layer][0][tuple(where)].item() == pytest.approx(slope, rel=2e-3, abs=1e-5)


@pytest.mark.parametrize("place", [0, 6, 15])
def test_all_relevance_lies_on_the_one_patch_that_a_planted_model_can_see(place):
    model = timm.create_model("vit_tiny_patch16_224", **{**TINY, "depth": 1, "num_classes": 2}).eval()
    with torch.no_grad():
        for each in (model.pos_embed, model.cls_token, model.patch_embed.proj.bias, model.blocks[0].attn.qkv.bias):
            each.zero_()  # so that black patches have neither keys nor values
        model.head.weight[1] = -model.head.weight[0]
    row, column = divmod(place, 4)
    x = torch.zeros(1, 3, 32, 32)
    x[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 1
    maps = [_reader(model, x).explained(x, torch.tensor([answer])).relevance()[0].flatten() for answer in (0, 1)]
    others = torch.arange(16) != place
    assert all(float(each[others].abs().max()) == 0 for each in maps)
    assert max(float(each[place]) for each in maps) > 0  # it speaks for one of both answers


def test_the_model_is_left_exactly_as_it_was_found(plain):
    model = copy.deepcopy(plain).train()
    model.blocks[0].eval()
    model.blocks[1].attn.register_forward_hook(lambda *_: None)
    before = _state(model)
    x = _images()
    reader = _reader(model, x)
    reader.read(x)
    reader.explained(x)
    assert _state(model) == before


def test_the_model_is_left_exactly_as_it_was_found_when_it_fails(plain):
    model = copy.deepcopy(plain).train()
    before = _state(model)
    reader = _reader(model, _images())
    for wrong in (torch.zeros(1, 3, 40, 40), torch.zeros(1, 2, 32, 32)):
        for call in (reader.read, reader.explained, lambda x: AttentionReader(model, x)):
            with pytest.raises((RuntimeError, AssertionError)):
                call(wrong)
    assert _state(model) == before
    assert not torch.overrides._get_current_function_mode_stack()
    assert all(not each._forward_hooks and not each._forward_pre_hooks for each in reader._view.modules())


def _state(model):
    hooks = [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in model.modules()]
    modes = [each.training for each in model.modules()]
    gradients = [(each.requires_grad, each.grad is None) for each in model.parameters()]
    return hooks, modes, gradients, [each._version for each in model.parameters()]


def _named(name, **arguments):
    return lambda: (timm.create_model(name, **arguments), torch.zeros(1, 3, 224, 224))


REFUSED = {
    "windows": (_named("swin_tiny_patch4_window7_224", depths=(1, 1)), "within windows of 49 tokens, 64 windows"),
    "channels": (_named("xcit_nano_12_p16_224", depth=1), "attention of 32 × 32 where the image has 19. tokens"),
    "a difference": (
        lambda: (_timm("vit_dwee_patch16_reg1_gap_256"), torch.zeros(1, 3, 32, 32)), "by a difference or a sum",
    ),
    "mixed heads": (_named("cait_xxs24_224", depth=1), "changes its attention behind the softmax, as by mixing heads"),
    "two softmaxes": (_named("convit_tiny", depth=1), "by a difference or a sum"),
    "a network of convolutions": (_named("resnet18"), "ResNet has no attention between tokens"),
    "a home-made one": (lambda: (Deciding(), torch.zeros(1, 3, 16, 16)), "Deciding has no attention between tokens"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_attention_between_tokens_is_refused_with_the_reason(kind):
    build, reason = REFUSED[kind]
    model, x = build()
    with pytest.raises(NoTokenAttention, match=reason) as refusal:
        AttentionReader(model, x)
    assert "attention maps are for ViT and its kind" in str(refusal.value)


@pytest.mark.parametrize("closed", [torch.compile, lambda model: torch.jit.trace(model, _images(1))])
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_or_scripted_model_is_refused(plain, closed):
    with pytest.raises(InputError, match="cannot be looked into"):
        AttentionReader(closed(copy.deepcopy(plain)), _images(1))


def test_a_layer_or_head_that_is_not_there_is_refused(plain):
    found = _reader(plain, _images()).read(_images(), [0])
    with pytest.raises(InputError, match="layer 2 was asked for, the network has 2 layers"):
        found.map(2, 0)
    with pytest.raises(InputError, match="head 2 was asked for, layer 0 has 2 heads"):
        found.map(0, 2)
    with pytest.raises(InputError, match="layer -1 was not read"):
        found.map(-1, 0)


def test_only_the_layers_that_were_asked_for_are_kept(plain):
    assert list(_reader(plain, _images()).read(_images(), [-1]).weights) == [1]


def test_images_of_another_size_need_another_reader():
    model = _timm("vit_tiny_patch16_224", dynamic_img_size=True)
    reader = AttentionReader(model, _images(1))
    with pytest.raises(InputError, match="these images have 7 tokens, the reader was made for 17"):
        reader.read(_images(1, size=(16, 24)))
