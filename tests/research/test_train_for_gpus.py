"""The parts of train.py that only a GPU takes, as far as a processor can run them.

`torch.compile` traces the model, its backward pass and Muon into one graph each here. The kernels that it would make
for a GPU are not built, and flex attention has no backward pass on a processor.
"""

import pytest
import torch

import train


def small_model(precision: torch.dtype = torch.float32) -> train.GPT:
    """Return a model that is no longer the identity of the start."""
    config = train.GPTConfig(vocab_size=64, seq_len=128, depth=2, model_dim=32, head_dim=16, window_pattern="SL")
    model = train.GPT(config, "cpu", precision)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2, torch.Generator().manual_seed(2))
    return model


def tokens() -> torch.Tensor:
    return torch.randint(64, (2, 129), generator=torch.Generator().manual_seed(3))


def compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Trace into a single graph, or fail."""
    made: torch.nn.Module = torch.compile(model, dynamic=False, fullgraph=True, backend="aot_eager")
    return made


def test_the_model_compiles_to_one_graph_with_the_same_loss_and_gradients() -> None:
    eager, traced = small_model(torch.bfloat16), small_model(torch.bfloat16)
    batch = tokens()
    losses = [each(batch[:, :-1], batch[:, 1:]) for each in (eager, compiled(traced))]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(losses[1], losses[0])
    for ours, theirs in zip(traced.parameters(), eager.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-3, rtol=2e-2)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_model_with_flex_attention_scores_as_the_one_with_a_mask(precision: torch.dtype) -> None:
    masked, flex = small_model(precision), small_model(precision)
    flex.blocks[0].attend = train.Attend(128, flex.config.window(0), "cpu", uses_flex=True)
    batch = tokens()
    with torch.no_grad():
        losses = [each(batch[:, :-1], batch[:, 1:]) for each in (masked, flex)]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-2 if precision.itemsize == 2 else 1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 16), (3, 16, 8)])
def test_muon_compiles_to_one_graph_with_the_same_update(shape: tuple[int, ...]) -> None:
    weights, grads, momentum = torch.randn(3, *shape, generator=torch.Generator().manual_seed(4))
    side = -1 if shape[-2] >= shape[-1] else -2
    second = torch.ones_like(weights.narrow(side, 0, 1))
    update = torch.compile(train.muon_update, dynamic=False, fullgraph=True, backend="aot_eager")
    rates = weights.new_tensor([0.02, 0.1])
    outcomes = []
    for step in (train.muon_update, update):
        state = (momentum.clone(), second.clone())
        with torch.no_grad():
            outcomes.append((step(weights, grads, *state, *rates), *state))
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_muon_in_half_precision_still_makes_a_matrix_nearly_orthogonal() -> None:
    g = torch.randn(2, 32, 64, generator=torch.Generator().manual_seed(5))
    singular = torch.linalg.svdvals(train.orthogonalise(g.bfloat16(), steps=5).float())
    assert singular.min() > 0.6 and singular.max() < 1.35
