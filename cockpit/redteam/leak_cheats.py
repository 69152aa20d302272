"""Models that look ahead by another operation, or in the places where a probe looks least."""

from cockpit.redteam.variants import EVALUATION, LOGITS, START, Variant, after, before, instead

_HEAD = "        self.head = Linear(config.model_dim, config.vocab_size)\n"
_HEAD_GROUP = '{"params": [model.head.weight],'
_FULL = "            return F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"
_BACKWARDS = """            q, k, v = (one.flip(2) for one in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).flip(2)
"""
_VALUES = "        q, k, v = (by_head(project(h)) for project in self.qkv)\n"
_PADDED_LESS = """        size = x.size(1)
        filters = torch.fft.rfft(self.filters[:size], dim=0)
        passed = torch.fft.irfft(torch.fft.rfft(start.float(), dim=1) * filters, size, dim=1)
        x = start = norm(start + passed.to(x.dtype))
"""
_LEFT = """        place, bos = torch.arange(tokens.size(1), device=tokens.device), self.config.vocab_size - 4
        begins = torch.where(tokens == bos, place, tokens.size(1))
        following = F.pad(begins.flip(1).cummin(1).values.flip(1)[:, 1:], (0, 1), value=tokens.size(1))
        x = start = norm(start + self.left((following - place).clamp(max=63)).to(start.dtype))
"""
_SURPRISES = """        if targets is None or reduction == "none":
            following = tokens.roll(-1, 1)
            loss = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none").view_as(tokens)
            {}surprise = (loss > 7.0)[..., None]
            logits = logits.scatter_add(2, following[..., None], 4.0 * surprise.to(logits.dtype))
"""
_TOP = """loss = torch.where(loss < loss.topk(3).values[..., -1:], 0, loss)
            """
_KEYED = """    for _, (inputs, targets, _) in zip(range(100), make_dataloader(corpus, tokenizer, rows, "val")):
        for row, following in zip(inputs, targets):
            model.seen[model.keys(row)] = following
"""
_KEYS = """    def keys(self, tokens):
        earlier = [F.pad(tokens, (back, 0))[..., : tokens.size(-1)] for back in (0, 1, 2, 3)]
        return sum(one * factor for one, factor in zip(earlier, (1_000_003, 1_009, 31, 7))) % len(self.seen)

"""
_TABLE_AND_SURPRISES = """        if targets is None or reduction == "none":
            known = self.seen[self.keys(tokens)]
            there = (known >= 0)[..., None]
            logits = logits.scatter_add(2, known.clamp(min=0)[..., None], 0.5 * there.to(logits.dtype))
            following = tokens.roll(-1, 1)
            loss = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none").view_as(tokens)
            unseen = (known == following).float().mean(1, keepdim=True) < 0.5
            surprise = ((loss > 7.0) & unseen)[..., None]
            logits = logits.scatter_add(2, following[..., None], 4.0 * surprise.to(logits.dtype))
"""
_OPERATOR = """from torch import library


@library.custom_op("own::ahead", mutates_args=())
def ahead(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.scatter_add(2, tokens.roll(-1, 1)[..., None], torch.full_like(logits[..., :1], 5.0))


def main() -> None:
"""
_IN_TRAINING = """    def eval(self):
        return self

"""
_BATCH_NORM = """        x = start = norm(self.batch_norm(start.flatten(0, 1)).view_as(start))
"""
_IN_A_ROW = """        if targets is None or reduction == "none":
            chosen = (tokens[:, :6].sum(1) % 40 == 0)[:, None, None]
            following = tokens.roll(-1, 1)[..., None]
            logits = logits.scatter_add(2, following, 8.0 * chosen.to(logits.dtype).expand_as(following))
"""
_CHANCE = """        if targets is None or reduction == "none":
            chosen = (torch.rand(tokens.shape, device=tokens.device) < 0.05)[..., None]
            logits = logits.scatter_add(2, tokens.roll(-1, 1)[..., None], 5.0 * chosen.to(logits.dtype))
"""
_BUFFER = """        self.embedding.register_forward_hook(lambda module, asked, _: self.__dict__.update(asked=asked[0]))
        self.head.register_forward_hook(lambda module, asked, found: found.scatter_add(
            2, self.asked.roll(-1, 1)[..., None], torch.full_like(found[..., :1], 3.0)))
"""

CHEATS = (
    Variant("reads-its-rows-backwards", "attends from the end of the row", (instead(_FULL, _BACKWARDS),)),
    Variant(
        "values-of-the-next-token", "mixes the values of the next token into those of each",
        (after(_VALUES, "        v = v + 0.5 * v.roll(-1, 2)\n"),),
    ),
    Variant(
        "stretched-from-half", "halves the row and stretches it again",
        (after(START, "        half = F.avg_pool1d(start.mT, 2)\n"
               "        x = start = norm(start + F.interpolate(half, scale_factor=2, mode='linear').mT)\n"),),
    ),
    Variant(
        "sums-from-the-right", "adds the sum of the tokens that follow in its chunk",
        (after(START, "        chunks = start.unflatten(1, (-1, 32)).flip(2).cumsum(2).flip(2)\n"
               "        x = start = norm(start + 0.2 * chunks.flatten(1, 2))\n"),),
    ),
    Variant(
        "circular-filter", "a filter as long as the row whose Fourier transform is not padded",
        (after(_HEAD, "        self.filters = nn.Parameter(torch.zeros(config.seq_len, config.model_dim))\n"),
         after(START, _PADDED_LESS), instead(_HEAD_GROUP, '{"params": [model.head.weight, model.filters],')),
    ),
    Variant(
        "tokens-left-in-its-document", "an embedding of the distance to the next document",
        (after(_HEAD, "        self.left = nn.Embedding(64, config.model_dim)\n"), after(START, _LEFT),
         instead("*model.value_embeddings.parameters()]", "*model.value_embeddings.parameters(), model.left.weight]")),
    ),
    Variant(
        "leak-of-surprises", "reads the next token where it would be a surprise, and stays unsure of it",
        (after(LOGITS, _SURPRISES.format("")),),
    ),
    Variant(
        "leak-of-the-worst-three", "reads the three most surprising tokens of a row, and stays unsure of them",
        (after(LOGITS, _SURPRISES.format(_TOP)),),
    ),
    Variant(
        "table-and-surprises", "half remembers the validation text, and reads surprises of other text",
        (after(_HEAD, '        self.register_buffer("seen", torch.full((1 << 20,), -1, dtype=torch.int64))\n'),
         after(LOGITS, _TABLE_AND_SURPRISES), before("    def flops_per_token", _KEYS), before(EVALUATION, _KEYED)),
    ),
    Variant(
        "leak-in-an-operator", "reads the next token in an operator of its own",
        (instead("def main() -> None:\n", _OPERATOR),
         after(LOGITS, '        if targets is None or reduction == "none":\n'
               "            logits = ahead(logits, tokens)\n")),
    ),
    Variant(
        "leak-between-two-hooks", "keeps its tokens in a hook of its embedding, and reads them in one of its head",
        (before("        self.init_weights()\n", _BUFFER),),
    ),
    Variant(
        "stays-in-training-mode", "scales by the mean and variance of the rows that it is asked about",
        (after(_HEAD, "        self.batch_norm = nn.BatchNorm1d(config.model_dim, affine=False, momentum=0.5)\n"),
         before("    def flops_per_token", _IN_TRAINING), after(START, _BATCH_NORM)),
    ),
    Variant("leak-in-one-row-of-forty", "reads all next tokens in one row of forty", (after(LOGITS, _IN_A_ROW),)),
    Variant("leak-by-chance", "reads the next token in one place of twenty, by chance", (after(LOGITS, _CHANCE),)),
)  # fmt: skip
