"""Train a small GPT for a fixed time and print its val_bpb (bits per byte on held-out text, lower is better).

    python train.py        prepare the corpus first: python prepare.py

This is the file to edit: constants, model, optimizer, schedule. Leave prepare.py and the printed summary unchanged.
"""

import gc
import math
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from typing import NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from prepare import (
    DEVICE,
    MAX_SEQ_LEN,
    PRESET,
    TIME_BUDGET,
    Tokenizer,
    evaluate_bpb,
    load_corpus,
    make_dataloader,
    training_clock,
)

# ---------------------------------------------------------------------------
# Constants. On the cpu-small preset widths are divided by PRESET.scale and rows by PRESET.batch_scale: a scale
# model of the same run, in which every constant below acts in the same steps.
# ---------------------------------------------------------------------------

# Model
DEPTH = 8  # transformer blocks
ASPECT_RATIO = 64  # model_dim = DEPTH * ASPECT_RATIO, rounded up to a multiple of HEAD_DIM
HEAD_DIM = 128  # channels of an attention head
WINDOW_PATTERN = "SSSL"  # by block, repeated: L sees the whole context, S half of it; the last block is always L

# Batch
TOTAL_BATCH_SIZE = 2**19  # tokens of an optimizer step
DEVICE_BATCH_SIZE = 128  # rows of a forward pass; lower it when memory runs out

# Optimizer: Muon for the matrices, AdamW for everything else
EMBEDDING_LR = 0.6  # token and value embeddings (AdamW)
UNEMBEDDING_LR = 0.004  # output head (AdamW)
MATRIX_LR = 0.04  # attention and MLP matrices (Muon)
SCALAR_LR = 0.5  # residual scalars (AdamW)
WEIGHT_DECAY = 0.2  # of the matrices, falling to 0 over the run
ADAM_BETAS = (0.8, 0.95)
MUON_MOMENTUM = 0.95
MUON_BETA2 = 0.95  # of the row-wise second moment
NS_STEPS = 5  # iterations of the orthogonalisation

# Schedule, by the share of the time budget spent
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0

SEED = int(os.environ.get("SEED") or 1337)
PRECISION = torch.bfloat16 if DEVICE == "cuda" else torch.float32  # of activations; weights are float32

# --- Model ---


@dataclass(frozen=True)
class GPTConfig:
    vocab_size: int
    seq_len: int
    depth: int
    model_dim: int
    head_dim: int
    window_pattern: str

    @classmethod
    def from_knobs(cls, vocab_size: int) -> "GPTConfig":
        """Build the configuration from the constants. Raises ValueError where they define no model."""
        head_dim = HEAD_DIM // PRESET.scale
        model_dim = math.ceil(DEPTH * ASPECT_RATIO / PRESET.scale / max(head_dim, 1)) * head_dim
        if DEPTH < 1 or model_dim < 1 or head_dim < 4 or head_dim % 2:
            raise ValueError("DEPTH, ASPECT_RATIO and HEAD_DIM must be positive, HEAD_DIM a multiple of 32.")
        if not WINDOW_PATTERN or set(WINDOW_PATTERN) - set("SL"):
            raise ValueError(f"WINDOW_PATTERN is {WINDOW_PATTERN!r}: use the letters S and L.")
        return cls(vocab_size, MAX_SEQ_LEN, DEPTH, model_dim, head_dim, WINDOW_PATTERN)

    def window(self, layer: int) -> int:
        """Return the number of tokens that a query of this layer sees, itself included."""
        is_long = layer == self.depth - 1 or self.window_pattern[layer % len(self.window_pattern)] == "L"
        return self.seq_len if is_long else max(1, self.seq_len // 2)

    def has_value_embedding(self, layer: int) -> bool:
        """Return whether the layer has one: every other layer, the last one included."""
        return (self.depth - 1 - layer) % 2 == 0


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def sees(window: int, query: Tensor, key: Tensor) -> Tensor:
    """Return whether a query sees a key: causal, and no further back than the window."""
    return (key <= query) & (query - key < window)


class Attend(nn.Module):
    """Compute softmax(qk)v over a causal window in one fused kernel; q, k, v (batch, heads, seq_len, head_dim)."""

    def __init__(self, seq_len: int, window: int, device: str, uses_flex: bool) -> None:
        super().__init__()
        self.is_full = window >= seq_len
        self.uses_flex = uses_flex  # skips the masked blocks, which SDPA would compute
        if self.is_full:
            return
        if self.uses_flex:
            self.block_mask = create_block_mask(
                lambda batch, head, query, key: sees(window, query, key), None, None, seq_len, seq_len, device
            )
        else:
            position = torch.arange(seq_len, device=device)
            self.mask = sees(window, position[:, None], position)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.is_full:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if self.uses_flex:
            return flex_attention(q, k, v, block_mask=self.block_mask)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary position embedding (arXiv:2104.09864) to x (batch, heads, seq_len, head_dim)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos + b * sin, b * cos - a * sin), dim=-1)


class Linear(nn.Linear):
    """A linear layer without bias; weights stay float32 and are multiplied in the input's precision."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Block(nn.Module):
    def __init__(self, config: GPTConfig, layer: int, device: str) -> None:
        super().__init__()
        dim = config.model_dim
        self.heads = dim // config.head_dim
        self.qkv = nn.ModuleList(Linear(dim, dim) for _ in "qkv")
        self.attend = Attend(config.seq_len, config.window(layer), device, uses_flex=device == "cuda")
        self.attention_out = Linear(dim, dim)
        self.mlp_in = Linear(dim, 4 * dim)
        self.mlp_out = Linear(4 * dim, dim)
        self.value_gate = None
        if config.has_value_embedding(layer):
            self.value_gate = Linear(min(32, dim), self.heads)

    def forward(self, x: Tensor, value_embedding: Tensor | None, cos: Tensor, sin: Tensor) -> Tensor:
        batch, seq_len, dim = x.shape

        def by_head(t: Tensor) -> Tensor:
            return t.view(batch, seq_len, self.heads, -1).transpose(1, 2)

        h = norm(x)
        q, k, v = (by_head(project(h)) for project in self.qkv)
        if self.value_gate is not None and value_embedding is not None:
            gate = 2 * torch.sigmoid(self.value_gate(h[..., : self.value_gate.in_features]))
            v = v + by_head(gate) * by_head(value_embedding)
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        y = self.attend(q, k, v)
        x = x + self.attention_out(y.transpose(1, 2).reshape(batch, seq_len, dim))
        return x + self.mlp_out(F.relu(self.mlp_in(norm(x))).square())


class GPT(nn.Module):
    """A GPT in the style of nanochat: rotary, RMSNorm, QK-norm, ReLU², value embeddings, soft-capped logits."""

    def __init__(self, config: GPTConfig, device: str = DEVICE, precision: torch.dtype = PRECISION) -> None:
        super().__init__()
        self.config = config
        self.precision = precision
        self.embedding = nn.Embedding(config.vocab_size, config.model_dim)
        self.value_embeddings = nn.ModuleDict(
            {
                str(layer): nn.Embedding(config.vocab_size, config.model_dim)
                for layer in range(config.depth)
                if config.has_value_embedding(layer)
            }
        )
        self.blocks = nn.ModuleList(Block(config, layer, device) for layer in range(config.depth))
        self.head = Linear(config.model_dim, config.vocab_size)
        self.residual_scales = nn.Parameter(torch.ones(config.depth))
        self.input_scales = nn.Parameter(torch.full((config.depth,), 0.1))
        frequency = 10_000 ** -(torch.arange(0, config.head_dim, 2) / config.head_dim)
        angle = torch.arange(config.seq_len)[:, None] * frequency
        self.register_buffer("cos", angle.cos().to(self.precision), persistent=False)
        self.register_buffer("sin", angle.sin().to(self.precision), persistent=False)
        self.init_weights()
        self.to(device)

    @torch.no_grad()
    def init_weights(self) -> None:
        """Initialise every block as the identity: its output to the residual stream starts at zero."""
        bound = (3 / self.config.model_dim) ** 0.5  # uniform with a standard deviation of model_dim ** -0.5
        self.embedding.weight.normal_(0, 1)
        self.head.weight.normal_(0, 0.001)
        for embedding in self.value_embeddings.values():
            embedding.weight.uniform_(-bound, bound)
        for block in self.blocks:
            for matrix in (*block.qkv, block.mlp_in):
                matrix.weight.uniform_(-bound, bound)
            for matrix in filter(None, (block.attention_out, block.mlp_out, block.value_gate)):
                matrix.weight.zero_()

    def forward(self, tokens: Tensor, targets: Tensor | None = None, reduction: str = "mean") -> Tensor:
        """Return the cross-entropy in nats of int64 targets (batch, seq_len); with "none", one value per target.

        Without targets, return the logits (batch, seq_len, vocab_size): the scorer asks for those.
        """
        x = start = norm(self.embedding(tokens)).to(self.precision)
        for layer, block in enumerate(self.blocks):
            x = self.residual_scales[layer] * x + self.input_scales[layer] * start
            values = None
            if self.config.has_value_embedding(layer):
                values = self.value_embeddings[str(layer)](tokens).to(self.precision)
            x = block(x, values, self.cos, self.sin)
        logits = 15 * torch.tanh(self.head(norm(x)).float() / 15)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)

    def flops_per_token(self) -> int:
        """Count forward and backward: 6 per matrix weight, 12 per channel and visible token (arXiv:2204.02311)."""
        matrices = sum(p.numel() for p in self.blocks.parameters()) + self.head.weight.numel()
        in_sight = sum(self.config.window(layer) for layer in range(self.config.depth))
        return 6 * matrices + 12 * self.config.model_dim * in_sight


def save_model(model: GPT, path: str) -> None:
    """Leave the trained model where the scorer finds it: a keep's score is computed outside its run."""
    torch.save({"config": asdict(model.config), "weights": model.state_dict()}, path)


def load_model(path: str) -> GPT:
    """Return the model that a run left at `path`. The scorer calls this, then the model with tokens alone."""
    saved = torch.load(path, map_location=DEVICE, weights_only=True)
    model = GPT(GPTConfig(**saved["config"]))
    model.load_state_dict(saved["weights"])
    return model


# --- Optimizer ---

# Polar Express (arXiv:2505.16932): quintic iterations that converge to the nearest orthogonal matrix.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(g: Tensor, steps: int) -> Tensor:
    """Return the nearest orthogonal matrices to g (count, rows, cols), after `steps` iterations."""
    x = g.bfloat16() if g.is_cuda else g
    wide = x.size(-2) <= x.size(-1)
    x = x if wide else x.mT
    x = x / (1.02 * x.norm(dim=(-2, -1), keepdim=True) + 1e-6)
    for i in range(steps):
        a, b, c = POLAR_EXPRESS[min(i, len(POLAR_EXPRESS) - 1)]
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.mT).to(g.dtype)


def muon_update(weights: Tensor, grads: Tensor, momentum: Tensor, second: Tensor, lr: Tensor, decay: Tensor) -> Tensor:
    """Return new weights (count, rows, cols); `momentum` and `second` are updated in place.

    Nesterov momentum, orthogonalised; normalised by a running second moment along the longer side at an unchanged norm
    (NorMuon, arXiv:2510.05491); weight decay only where it agrees with the update's direction (cautious,
    arXiv:2510.12402).
    """
    momentum.lerp_(grads, 1 - MUON_MOMENTUM)
    update = orthogonalise(grads.lerp(momentum, MUON_MOMENTUM), NS_STEPS)
    side = -1 if weights.size(-2) >= weights.size(-1) else -2
    second.lerp_(update.square().mean(dim=side, keepdim=True), 1 - MUON_BETA2)
    scaled = update * second.clamp_min(1e-10).rsqrt()
    size = (-2, -1)
    update = scaled * (update.norm(dim=size, keepdim=True) / scaled.norm(dim=size, keepdim=True).clamp_min(1e-10))
    agrees = update * weights >= 0
    return weights - lr * update - lr * decay * weights * agrees


class Muon(torch.optim.Optimizer):
    """Muon with one group per shape, so that a step is a few batched matrix products."""

    def __init__(self, params: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        groups = [{"params": [p for p in params if p.shape == s]} for s in {p.shape: None for p in params}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.update = torch.compile(muon_update, dynamic=False) if params[0].is_cuda else muon_update

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            params = group["params"]
            weights, grads = torch.stack(params), torch.stack([p.grad for p in params])
            state = self.state[params[0]]
            if not state:
                side = -1 if weights.size(-2) >= weights.size(-1) else -2
                state["momentum"] = torch.zeros_like(weights)
                state["second"] = torch.zeros_like(weights.narrow(side, 0, 1))
            lr = group["lr"] * max(1, weights.size(-2) / weights.size(-1)) ** 0.5
            # As tensors: every new number would compile the update again.
            lr_and_decay = weights.new_tensor([lr, group["weight_decay"]])
            new = self.update(weights, grads, state["momentum"], state["second"], *lr_and_decay)
            torch._foreach_copy_(params, list(new))


def make_optimizers(model: GPT) -> list[torch.optim.Optimizer]:
    """Build the optimizers; each group stores its initial rate. AdamW's rates are given for a width of 768."""
    matrices = list(model.blocks.parameters())
    width = (model.config.model_dim / 768) ** -0.5
    adamw = torch.optim.AdamW(
        [
            {"params": [model.head.weight], "lr": UNEMBEDDING_LR * width},
            {
                "params": [model.embedding.weight, *model.value_embeddings.parameters()],
                "lr": EMBEDDING_LR * width,
            },
            # At first every block is the identity and norm() undoes any scale: these gradients are rounding errors,
            # which a small eps would enlarge to full steps.
            {"params": [model.residual_scales], "lr": SCALAR_LR * 0.01, "eps": 1e-6},
            {"params": [model.input_scales], "lr": SCALAR_LR, "eps": 1e-6},
        ],
        betas=ADAM_BETAS,
        eps=1e-10,
        weight_decay=0,
        fused=True,
    )
    optimizers = [adamw, Muon(matrices, MATRIX_LR, WEIGHT_DECAY)]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"], group["initial_decay"] = group["lr"], group["weight_decay"]
    return optimizers


def schedule(progress: float) -> float:
    """Return the multiplier of the learning rates at `progress`, the share of the time budget spent, 0 to 1."""
    if progress < WARMUP_RATIO:
        return progress / WARMUP_RATIO
    if progress < 1 - WARMDOWN_RATIO:
        return 1.0
    cooling = (1 - progress) / WARMDOWN_RATIO
    return cooling + (1 - cooling) * FINAL_LR_FRAC


# --- Training ---


def fail(sentence: str) -> NoReturn:
    print(f"FAIL: {sentence}", flush=True)
    sys.exit(1)


def now() -> float:
    """Return seconds on the training clock, once the device has finished its work."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return training_clock()


def peak_flops() -> float:
    """Return matrix-product FLOPs per second: the maker's figure for bf16, else the rate of a large product here."""
    if DEVICE == "cuda":
        for name, flops in {"H100": 989.5e12, "H200": 989.5e12, "A100": 312e12}.items():
            if name in torch.cuda.get_device_name():
                return flops
    size = 8192 if DEVICE == "cuda" else 1024
    a = torch.ones(size, size, device=DEVICE, dtype=PRECISION)
    seconds = []
    for _ in range(4):
        start = now()
        a @ a
        seconds.append(now() - start)
    return 2 * size**3 / min(seconds)


def peak_memory_mb() -> float:
    """Return the peak memory of the GPU; without one, of this process."""
    if DEVICE == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    started = time.perf_counter()
    torch.manual_seed(SEED)
    torch.set_float32_matmul_precision("high")
    if DEVICE == "cpu":
        # At this size a second thread gains a third on an idle machine and loses nearly everything on a busy one:
        # each of a step's thousand barriers then waits for a thread that is not running.
        torch.set_num_threads(1)
    corpus = load_corpus()
    tokenizer = Tokenizer.load(corpus)
    print(f"corpus: {corpus.name} vocab {corpus.vocab_size} fingerprint {corpus.fingerprint}")
    print(f"preset: {PRESET.name} budget {TIME_BUDGET:g}s seq_len {MAX_SEQ_LEN} seed {SEED}", flush=True)

    rows = DEVICE_BATCH_SIZE // PRESET.batch_scale
    total_rows, rest = divmod(TOTAL_BATCH_SIZE, PRESET.batch_scale * PRESET.scale * MAX_SEQ_LEN)
    if rows < 1 or total_rows < 1 or rest or total_rows % rows or DEVICE_BATCH_SIZE % PRESET.batch_scale:
        fail(
            f"TOTAL_BATCH_SIZE is {TOTAL_BATCH_SIZE} and DEVICE_BATCH_SIZE is {DEVICE_BATCH_SIZE}. The preset"
            f" {PRESET.name} can run rows in multiples of {PRESET.batch_scale}, and tokens in multiples of the rows x"
            f" {PRESET.scale * MAX_SEQ_LEN}."
        )
    passes = total_rows // rows
    try:
        config = GPTConfig.from_knobs(tokenizer.vocab_size)
    except ValueError as error:
        fail(str(error))
    model = GPT(config)
    optimizers = make_optimizers(model)
    run_model = torch.compile(model, dynamic=False) if DEVICE == "cuda" else model
    batches = make_dataloader(corpus, tokenizer, rows, "train")
    batch = next(batches)

    def step_optimizers(lr_multiplier: float, decay_multiplier: float) -> None:
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * lr_multiplier
                group["weight_decay"] = group["initial_decay"] * decay_multiplier
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    # Start-up and compilation are rehearsed at a learning rate of zero and undone: they use no budget and
    # train nothing.
    for _ in range(2):
        run_model(*batch[:2]).backward()
        step_optimizers(0.0, 0.0)
    for optimizer in optimizers:
        optimizer.state.clear()
    gc.collect()
    gc.freeze()  # a collection would stall a step now and then
    gc.disable()

    peak = peak_flops()
    flops_per_step = model.flops_per_token() * total_rows * MAX_SEQ_LEN
    exploded = 2 * math.log(config.vocab_size)  # twice the loss of guessing
    step, trained_s, printed_at, average_loss = 0, 0.0, -math.inf, 0.0
    step_started = now()
    while trained_s < TIME_BUDGET:
        progress = trained_s / TIME_BUDGET
        multiplier = schedule(progress)
        loss = torch.zeros((), device=DEVICE)
        for _ in range(passes):
            part = run_model(*batch[:2]) / passes
            part.backward()
            loss += part.detach()
            batch = next(batches)  # while the GPU is still busy
        step_optimizers(multiplier, 1 - progress)
        step_loss = loss.item()
        ended = now()
        step_s, step_started = ended - step_started, ended
        trained_s += step_s
        if not step_loss < exploded:
            fail(f"the loss is {step_loss:.2f} at step {step}, beyond {exploded:.2f}: it has exploded.")

        average_loss = 0.9 * average_loss + 0.1 * step_loss
        if ended - printed_at > 0.2 or trained_s >= TIME_BUDGET:
            printed_at = ended
            print(
                f"step {step:05d} ({100 * min(trained_s / TIME_BUDGET, 1):.1f}%)"
                f" | loss: {average_loss / (1 - 0.9 ** (step + 1)):.6f} | lrm: {multiplier:.2f}"
                f" | dt: {1000 * step_s:.0f}ms | tok/sec: {total_rows * MAX_SEQ_LEN / step_s:,.0f}"
                f" | mfu: {100 * flops_per_step / step_s / peak:.1f}% | epoch: {batch[2]}"
                f" | remaining: {max(TIME_BUDGET - trained_s, 0):.0f}s",
                flush=True,
            )
        step += 1

    val_bpb = evaluate_bpb(run_model, corpus, tokenizer, rows)
    if not math.isfinite(val_bpb):
        fail(f"the validation loss is {val_bpb}.")
    if path := os.environ.get("COCKPIT_MODEL"):
        save_model(model, path)
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {trained_s:.1f}")
    print(f"total_seconds:    {time.perf_counter() - started:.1f}")
    print(f"peak_vram_mb:     {peak_memory_mb():.1f}")
    print(f"mfu_percent:      {100 * flops_per_step * step / trained_s / peak:.2f}")
    print(f"total_tokens_M:   {step * total_rows * MAX_SEQ_LEN / 1e6:.2f}")
    print(f"num_steps:        {step}")
    print(f"num_params_M:     {sum(p.numel() for p in model.parameters()) / 1e6:.2f}")
    print(f"depth:            {DEPTH}", flush=True)


if __name__ == "__main__":
    main()
