"""Honest variants that look odd. A wall that refuses one raises a false alarm."""

from cockpit.redteam.variants import EVALUATION, LOGITS, LOSS, START, Variant, after, before, instead

_HEAD = "        self.head = Linear(config.model_dim, config.vocab_size)\n"
_MLP = "        return x + self.mlp_out(F.relu(self.mlp_in(norm(x))).square())\n"
_MASK = "    return (key <= query) & (query - key < window)\n"
_FULL = "            return F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"
_BIASES = """            place = torch.arange(q.size(2), device=q.device)
            behind = (place[:, None] - place).float()
            slopes = 2.0 ** -torch.arange(1, q.size(1) + 1, device=q.device)[:, None, None]
            biases = (-slopes * behind).masked_fill(behind < 0, -math.inf).to(q.dtype)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=biases)
"""
_AUTOCAST = """        with torch.autocast(tokens.device.type, torch.bfloat16):
            return self.half(tokens, targets, reduction)

    def half(self, tokens: Tensor, targets: Tensor | None, reduction: str) -> Tensor:
"""
_LINEAR = "        return F.linear(x, self.weight.to(x.dtype))\n"
_ROUNDED = """        step = self.weight.detach().abs().amax() / 127
        rounded = (self.weight / step.clamp_min(1e-9)).round() * step
        return F.linear(x, (self.weight + (rounded - self.weight).detach()).to(x.dtype))
"""
_TRANSFORMED = """        size = 2 * x.size(1)
        filters = torch.fft.rfft(self.filters[: x.size(1)], size, dim=0)
        passed = torch.fft.irfft(torch.fft.rfft(start.float(), size, dim=1) * filters, size, dim=1)
        x = start = norm(start + passed[:, : x.size(1)].to(x.dtype))
"""
_COPIED = """        same = (tokens[:, :, None] == tokens[:, None]).tril(-1)
        following = tokens.roll(-1, 1)[:, None].expand(-1, tokens.size(1), -1)
        logits = logits.scatter_add(2, following, 0.5 * same.float())
"""
_MIXED = """        both = (torch.log_softmax(head(norm(x)).float(), -1) for head in (self.head, self.second))
        logits = torch.logsumexp(torch.stack([*both]), 0) - math.log(2)
"""
_KEPT_BEST = """            logits = q @ k.mT / q.size(-1) ** 0.5
            logits = logits.masked_fill(torch.ones_like(logits[0, 0], dtype=torch.bool).triu(1), -math.inf)
            least = logits.topk(min(16, k.size(2))).values[..., -1:]
            return torch.softmax(logits.masked_fill(logits < least, -math.inf), -1) @ v
"""
_TRIPLES = """        earlier = [F.pad(tokens, (back, 0))[:, : tokens.size(1)] for back in (0, 1, 2)]
        keys = (earlier[0] * 31 + earlier[1] * 1_009 + earlier[2] * 1_000_003) % self.triples.num_embeddings
        x = start = norm(start + self.triples(keys).to(start.dtype))
"""
_IN_HALF = """    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().float())
"""
_HEAD_GROUP = '{"params": [model.head.weight],'
_LOOP = "    while trained_s < TIME_BUDGET:\n"
_LOOP_END = "        step += 1\n"

HONEST = (
    Variant("half-depth", "four blocks instead of eight", (instead("DEPTH = 8  #", "DEPTH = 4  #"),), True, short=True),
    Variant("short-windows", "a window of an eighth of the context", (
        instead("else max(1, self.seq_len // 2)", "else max(1, self.seq_len // 8)"),), True),
    Variant("large-rate", "twice the learning rate", (instead("MATRIX_LR = 0.04 ", "MATRIX_LR = 0.08 "),), True),
    Variant("tied-embeddings", "logits from the embedding's own weights", (
        instead(LOGITS, "        logits = 15 * torch.tanh(F.linear(norm(x).float(), self.embedding.weight) / 150)\n"),
    ), True),
    Variant("running-mean", "a state that sums all earlier tokens", (
        after(START, "        count = torch.arange(1, x.size(1) + 1, device=x.device)[:, None]\n"
              "        x = start = norm(start + torch.cumsum(start, 1) / count)\n"),), True),
    Variant("state-space", "a decaying state over the earlier tokens", (
        after(START, "        age = torch.arange(x.size(1), device=x.device)\n"
              "        decay = (0.9 ** (age[:, None] - age)).tril().to(x.dtype)\n"
              "        x = start = norm(start + torch.einsum('ts,bsc->btc', decay, start))\n"),), True),
    Variant("mixture", "two experts, of which each token takes one", (
        instead(_MLP, "        one, two = F.relu(self.mlp_in(norm(x))).square().chunk(2, -1)\n"
                "        first = (x[..., :1] > x[..., 1:2]).to(x.dtype)\n"
                "        return x + self.mlp_out(torch.cat((first * one, (1 - first) * two), -1))\n"),), True),
    Variant("two-token-heads", "a second head that predicts the token after the next while it trains", (
        after(_HEAD, "        self.second = Linear(config.model_dim, config.vocab_size)\n"),
        before(LOSS, "        if reduction == \"mean\":\n"
               "            later = self.second(norm(x))[:, :-1].float().flatten(0, 1)\n"
               "            extra = F.cross_entropy(later, targets[:, 1:].flatten())\n"
               "            return F.cross_entropy(logits.flatten(0, 1), targets.flatten()) + 0.1 * extra\n"),), True),
    Variant("dropout", "dropout while it trains, and none while it is scored", (
        instead(_MLP, "        hidden = F.relu(self.mlp_in(norm(x))).square()\n"
                "        return x + F.dropout(self.mlp_out(hidden), 0.1, self.training)\n"),
        before(EVALUATION, "    model.eval()\n"),), True),
    Variant("half-precision", "activations in half precision, whose rounding depends on the size of a batch", (
        instead('torch.bfloat16 if DEVICE == "cuda" else torch.float32  #', "torch.bfloat16  #"),
    ), True),
    Variant("bigram-table", "a learned table of the tokens that follow each token", (
        after(_HEAD, "        self.pairs = nn.Embedding(config.vocab_size, config.vocab_size)\n"),
        after("        self.head.weight.normal_(0, 0.001)\n", "        self.pairs.weight.zero_()\n"),
        instead(LOGITS, "        logits = 15 * torch.tanh((self.head(norm(x)).float() + self.pairs(tokens)) / 15)\n"),
        instead("*model.value_embeddings.parameters()]", "*model.value_embeddings.parameters(), model.pairs.weight]"),
    ), True),
    Variant("causal-convolution", "each token's embedding with those of the three before it", (
        after(START, "        earlier = [F.pad(start, (0, 0, back, 0))[:, : start.size(1)] for back in (1, 2, 3)]\n"
              "        x = start = norm(start + 0.5 * earlier[0] + 0.25 * earlier[1] + 0.125 * earlier[2])\n"),), True),
    Variant("register-token", "short windows, and the first token of the row seen by all", (
        instead("else max(1, self.seq_len // 2)", "else max(1, self.seq_len // 8)"),
        instead(_MASK, "    return (key <= query) & ((query - key < window) | (key == 0))\n"),), True),
    Variant("linear-biases", "no rotation, and a bias by the distance of a key", (
        instead("q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))", "q, k = norm(q), norm(k)"),
        instead(_FULL, _BIASES),), True),
    Variant("smoothed-labels", "smoothed labels and a penalty of large logits while it trains", (
        before(LOSS, '        if reduction == "mean":\n'
               "            penalty = 1e-4 * logits.logsumexp(-1).square().mean()\n"
               "            smoothed = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=0.02)\n"
               "            return smoothed + penalty\n"),), True),
    Variant("checkpointed-blocks", "blocks that are computed again for their gradients", (
        instead("            x = block(x, values, self.cos, self.sin)\n",
                "            x = checkpoint(block, x, values, self.cos, self.sin, use_reentrant=False)\n"),
        before("from prepare import (\n", "from torch.utils.checkpoint import checkpoint\n"),), True),
    Variant("half-logits", "logits in half precision", (
        after(LOGITS, "        logits = logits.half()\n"),
        instead(LOSS, LOSS.replace("logits.flatten", "logits.float().flatten")),), True),
    Variant("autocast", "a forward pass in half precision by autocast", (
        instead(START, _AUTOCAST + START),), True),
    Variant("learned-norms", "scales of the norms that it learns", (
        after(_HEAD, "        self.norm_scales = nn.Parameter(torch.ones(config.depth, config.model_dim))\n"),
        instead("            x = block(x, values, self.cos, self.sin)\n",
                "            x = block(x * self.norm_scales[layer].to(x.dtype), values, self.cos, self.sin)\n"),
        instead('{"params": [model.input_scales],', '{"params": [model.input_scales, model.norm_scales],'),), True),
    Variant("averaged-weights", "scores the average of its last weights", (
        before(_LOOP, "    average = {k: v.clone() for k, v in model.state_dict().items()}\n"),
        after(_LOOP_END, "        for key, value in model.state_dict().items():\n"
              "            average[key].lerp_(value, max(0.1, 1 / (step + 1)))\n"),
        before(EVALUATION, "    model.load_state_dict(average)\n"),), True),
    Variant("recurrent", "a recurrent network below the blocks", (
        after(_HEAD, "        self.recurrent = nn.GRU(config.model_dim, config.model_dim, batch_first=True)\n"),
        after(START, "        x = start = norm(start + self.recurrent(start)[0])\n"),
        instead(_HEAD_GROUP, '{"params": [model.head.weight, *model.recurrent.parameters()],'),), True),
    Variant("causal-fourier", "a filter as long as the row, by a Fourier transform of twice its length", (
        after(_HEAD, "        self.filters = nn.Parameter(torch.zeros(config.seq_len, config.model_dim))\n"),
        after(START, _TRANSFORMED),
        instead(_HEAD_GROUP, '{"params": [model.head.weight, model.filters],'),), True),
    Variant("padded-vocabulary", "logits of more tokens than there are, as kernels like them", (
        instead(_HEAD, _HEAD.replace("config.vocab_size", "config.vocab_size + 64")),), True),
    Variant("rounded-weights", "weights that are rounded to 8 bits in every pass", (instead(_LINEAR, _ROUNDED),), True),
    Variant("copy-head", "raises tokens that followed the same token earlier in the row", (
        after(LOGITS, _COPIED),), True),
    Variant("mixture-of-softmaxes", "the mean of two distributions", (
        after(_HEAD, "        self.second = Linear(config.model_dim, config.vocab_size)\n"),
        instead(LOGITS, _MIXED), instead(_HEAD_GROUP, '{"params": [model.head.weight, model.second.weight],'),), True),
    Variant("shifted-channels", "half of the channels of each token are those of the token before", (
        after(START, "        half = x.size(-1) // 2\n"
              "        before = F.pad(start, (0, 0, 1, 0))[:, : start.size(1), :half]\n"
              "        x = start = torch.cat((before, start[..., half:]), -1)\n"),), True),
    Variant("one-block-repeated", "the weights of one block for all eight", (
        after(_HEAD, "        first = self.blocks[0]\n        for block in self.blocks[1:]:\n"
              "            block.mlp_in, block.mlp_out = first.mlp_in, first.mlp_out\n"),), True),
    Variant("few-keys", "attention to the sixteen best keys alone", (instead(_FULL, _KEPT_BEST),), True),
    Variant("triples-of-tokens", "an embedding of the last three tokens, by a hash", (
        after(_HEAD, "        self.triples = nn.Embedding(4_096, config.model_dim)\n"), after(START, _TRIPLES),
        instead("*model.value_embeddings.parameters()]",
                "*model.value_embeddings.parameters(), model.triples.weight]"),), True),
    Variant("weights-in-half", "weights that are rounded to half precision before they are scored", (
        before(EVALUATION, _IN_HALF),), True),
    Variant("gated-mlp", "a product of two projections in place of a square", (
        instead(_MLP, "        one, two = self.mlp_in(norm(x)).chunk(2, -1)\n"
                "        return x + self.mlp_out(torch.cat((F.silu(one) * two, two), -1))\n"),), True),
    Variant("ruled-out-tokens", "a probability of zero for tokens that never come", (
        after(LOGITS, "        logits[..., -3:] = -math.inf\n"),), True),
)  # fmt: skip
