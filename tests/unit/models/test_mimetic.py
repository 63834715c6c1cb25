import torch

from tests.unit.models.test_plain_vit import built


def products(model, block, head):
    attention = model.blocks[block].attn
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    queries, keys, values = attention.qkv.weight.detach().chunk(3)
    return queries[rows].T @ keys[rows], values.T @ attention.proj.weight.detach().T


def mean_diagonal(matrix):
    return float(matrix.diagonal().mean())


def test_tokens_look_at_their_like_and_are_taken_away_as_the_paper_says():
    mimetic = built(width=96, heads=2, depth=2).model
    for block in range(2):
        seen, moved = products(mimetic, block, head=1)
        noise = moved - torch.diag(moved.diagonal())
        assert abs(mean_diagonal(moved) + 0.4) < 0.05
        assert abs(float(noise.std()) * 96**0.5 - 0.4) < 0.05
        # Half of the rank keeps the largest half of the identity and the noise.
        assert mean_diagonal(seen) > 5 * float((seen - torch.diag(seen.diagonal())).abs().mean())
    plain = built(width=96, heads=2, initialisation="timm").model
    assert abs(mean_diagonal(products(plain, 0, 0)[0])) < 0.05


def test_a_head_keeps_the_best_part_that_its_rank_allows():
    seen, _ = products(built(width=96, heads=2).model, 0, 0)
    one_head, _ = products(built(width=96, heads=1).model, 0, 0)
    assert int(torch.linalg.matrix_rank(seen, atol=1e-4)) == 48
    assert int(torch.linalg.matrix_rank(one_head, atol=1e-4)) == 96
    assert abs(mean_diagonal(one_head) - 0.7) < 0.05


def test_positions_are_waves_that_no_two_patches_share_and_the_class_token_keeps_its_own():
    table = built(width=48, patch=4, sizes=(32,)).model.pos_embed.detach()[0]
    assert table.shape == (65, 48)
    torch.testing.assert_close(table[1:].square().mean(1), torch.full((64,), 0.125))  # half of 0.5 squared
    first, other = table[1], table[2:]
    assert float((other - first).norm(dim=1).min()) > 0.5
    assert float(table[0].std()) < 0.03
    again = built(width=48, patch=4, sizes=(32,), seed=5).model.pos_embed.detach()[0]
    assert torch.equal(table[1:], again[1:])
