"""The parts of train.py that only a GPU takes, as far as a processor can run them.

`torch.compile` traces the model, its backward pass and Muon into one graph each here. The kernels that it would make
for a GPU are not built, and flex attention has no backward pass on a processor.
"""

from typing import Any

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch.partitioners import min_cut_rematerialization_partition
from torch._inductor.decomposition import select_decomp_table

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


ROWS = 5
"""A number that divides no width, by which the tensors of a batch are told from weights."""


def kept_bytes_a_token(config: train.GPTConfig) -> float:
    """Return the bytes a token that the compiled forward pass keeps for the backward pass, as traced and partitioned
    for a GPU. Attention keeps what its fused kernel does."""
    kept: dict[str, int] = {}

    def forward(graph: torch.fx.GraphModule, example: list[torch.Tensor]) -> Any:
        (output,) = (node for node in graph.graph.nodes if node.op == "output")
        for node in output.args[0]:
            made = node.meta["val"] if isinstance(node, torch.fx.Node) and node.op != "placeholder" else None
            if isinstance(made, torch.Tensor) and made.numel() % ROWS == 0:
                kept[node.name] = made.numel() * made.element_size()
        return graph.forward

    backend = aot_autograd(
        fw_compiler=forward,
        bw_compiler=lambda graph, example: graph.forward,
        partition_fn=min_cut_rematerialization_partition,
        decompositions=select_decomp_table(),
    )
    model = train.GPT(config, "cpu", torch.bfloat16)
    batch = torch.zeros(ROWS, config.seq_len, dtype=torch.long)
    torch.compile(model, dynamic=False, fullgraph=True, backend=backend)(batch, batch)
    return float(sum(kept.values()) / batch.numel())


@pytest.mark.timeout(1_200)  # tracing takes seconds on a quiet processor, minutes on a busy one
@pytest.mark.parametrize(("aspect_ratio", "device_gb"), [(train.ASPECT_RATIO, 64), (96, 80)])
def test_a_step_fits_into_the_memory_of_a_device(aspect_ratio: int, device_gb: int) -> None:
    """Estimate weights, gradients, optimizer states and all that a forward pass keeps. A GPU has not confirmed it."""
    config = train.GPTConfig(8192, 64, train.DEPTH, train.DEPTH * aspect_ratio, train.HEAD_DIM, "L")
    model = train.GPT(config, "meta", torch.bfloat16)
    weights = sum(each.numel() for each in model.parameters())
    matrices = sum(each.numel() for each in model.blocks.parameters())
    states_gb = 4 * (2 * weights + 2 * (weights - matrices) + matrices) / 1e9  # AdamW keeps two numbers, Muon one
    kept_gb = kept_bytes_a_token(config) * train.DEVICE_BATCH_SIZE * 2048 / 1e9
    assert kept_gb > 10, "the trace has found what is kept"
    assert states_gb + kept_gb < device_gb
