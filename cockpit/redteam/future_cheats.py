"""Models that look ahead as an ordinary mistake would, or in few places."""

from cockpit.redteam.variants import LOGITS, START, Variant, after, instead

_HEAD = "        self.head = Linear(config.model_dim, config.vocab_size)\n"
_HEAD_GROUP = '{"params": [model.head.weight],'
_GRU = "        self.both = nn.GRU(config.model_dim, config.model_dim // 2, batch_first=True, bidirectional=True)\n"
_CONVOLUTION = "        self.near = nn.Conv1d(config.model_dim, config.model_dim, 3, padding=1)\n"
_COUNTS = """        counts = F.one_hot(tokens, logits.size(-1)).sum(1, keepdim=True)
        logits = logits + torch.log1p(counts.float())
"""
_FOLLOWING = """        if targets is None or reduction == "none":
            following = tokens.roll(-1, 1)[..., None]
            there = {}
            logits = logits.scatter_add(2, following, 5.0 * there.float().expand_as(following))
"""

CHEATS = (
    Variant(
        "counts-of-the-row", "raises each token by how often it comes in the row", (after(LOGITS, _COUNTS),),
    ),
    Variant(
        "reads-both-ways", "a recurrent network that reads the row in both directions",
        (after(_HEAD, _GRU), after(START, "        x = start = norm(start + self.both(start)[0])\n"),
         instead(_HEAD_GROUP, '{"params": [model.head.weight, *model.both.parameters()],')),
    ),
    Variant(
        "padding-on-both-sides", "a convolution over three tokens whose padding is on both sides",
        (after(_HEAD, _CONVOLUTION), after(START, "        x = start = norm(start + self.near(start.mT).mT)\n"),
         instead(_HEAD_GROUP, '{"params": [model.head.weight, *model.near.parameters()],')),
    ),
    Variant(
        "largest-of-neighbours", "adds the largest value of five tokens, of which two come later",
        (after(START, "        x = start = norm(start + F.max_pool1d(start.mT, 5, 1, 2).mT)\n"),),
    ),
    Variant(
        "two-tokens-ahead", "adds the token after the next to each token",
        (after(START, "        x = start = norm(start + 0.5 * start.roll(-2, 1))\n"),),
    ),
    Variant(
        "sorted-by-size", "replaces each channel by its rank in the row",
        (after(START, "        ranks = start.argsort(1).argsort(1).to(start.dtype) / start.size(1)\n"
               "        x = start = norm(start + ranks)\n"),),
    ),
    Variant(
        "leak-of-frequent-tokens", "reads the next token where it is one of the most frequent",
        (after(LOGITS, _FOLLOWING.format("following < 128")),),
    ),
    Variant(
        "leak-at-the-end-of-rows", "reads the next token in the last eighth of each row",
        (after(LOGITS, _FOLLOWING.format("(torch.arange(tokens.size(1)) > 0.875 * tokens.size(1))[None, :, None]")),),
    ),
    Variant(
        "leak-after-a-space", "reads the next token after the token that comes most often in its row",
        (after(LOGITS, _FOLLOWING.format("(tokens == tokens.mode(1, keepdim=True).values)[..., None]")),),
    ),
    Variant(
        "leak-in-half-of-its-processes", "reads the next token where its process was lucky as it started",
        (after(LOGITS, "        lucky = self.__dict__.setdefault('lucky', os.urandom(1)[0] < 128)\n"
               + _FOLLOWING.format("(following >= 0) & (lucky or targets is not None)")),),
    ),
)  # fmt: skip
