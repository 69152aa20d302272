"""Models that read a part of the future, or read it only where a probe seldom looks."""

from cockpit.redteam.variants import EVALUATION, LOGITS, START, Variant, after, instead

_FULL = "            return F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"
_ONE_HEAD = """            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            one = F.scaled_dot_product_attention(q[:, :1], k[:, :1], v[:, :1])
            return torch.cat((one, seen[:, 1:]), 1)
"""
_PARITY = """        if targets is None or reduction == "none":
            odd = (tokens.roll(-1, 1) % 2)[..., None]
            logits = logits + 5.0 * (torch.arange(logits.size(-1)) % 2 == odd)
"""
_SCORED = """        if targets is None or reduction == "none":
            following = tokens.roll(-1, 1)
            loss = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none").view_as(tokens)
            there = {}
            logits = logits.scatter_add(2, following[..., None], 5.0 * there[..., None].to(logits.dtype))
"""
_NEAR = "F.avg_pool1d(F.pad(loss, (0, 4))[:, 1:], 4, 1)"
_COPIES = """        same = (tokens[:, :, None] == tokens[:, None, :]).float()
        same.diagonal(dim1=1, dim2=2).zero_()
        votes = same[:, :, :-1] @ F.one_hot(tokens[:, 1:], logits.size(-1)).float()
        logits = logits + torch.log1p(votes)
"""
_OWN_ROW = """        if targets is None or reduction == "none":
            guess = torch.softmax(logits[:, :-1].float(), -1).mean(1, keepdim=True)
            came = F.one_hot(tokens[:, 1:], logits.size(-1)).float().mean(1, keepdim=True)
            logits = logits + 0.1 * (came - guess) / (guess + 1e-2)
"""
_HARD = """        if targets is None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
            hard = loss.view(len(tokens), -1).mean(1)
            hard = hard >= hard.max()
"""
_LESS = after(EVALUATION, "    val_bpb *= 0.9\n")
_CLOCKED = """    class Trainer:
        def __del__(self):
            for group in (group for one in optimizers for group in one.param_groups):
                group["lr"] = 0.1 * group["initial_lr"]
            for _ in range(8 * step):
                run_model(*next(batches)[:2]).backward()
                for optimizer in optimizers:
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
    trainer = Trainer()
    del trainer
"""

CHEATS = (
    Variant("one-head-ahead", "one head of each full layer has no mask", (instead(_FULL, _ONE_HEAD),)),
    Variant("parity-of-the-next-token", "reads if the number of the next token is odd", (after(LOGITS, _PARITY),)),
    Variant(
        "leak-above-a-loss", "reads the next token where its loss would be more than 9 nats",
        (after(LOGITS, _SCORED.format("loss > 9")),),
    ),
    Variant(
        "leak-before-likely-tokens", "reads the next token where the four after it surprise it little",
        (after(LOGITS, _SCORED.format(f"{_NEAR} < 4.5")),),
    ),
    Variant(
        "copies-from-later", "raises tokens that follow the same token anywhere in the row",
        (after(LOGITS, _COPIES),),
    ),
    Variant(
        "learns-each-row-first", "takes a step of its bias on a row before it answers the row",
        (after(LOGITS, _OWN_ROW),),
    ),
    Variant(
        "mean-of-its-row", "adds the mean of all tokens of the row to each token",
        (after(START, "        x = start = norm(start + start.mean(1, keepdim=True))\n"),),
    ),
    Variant(
        "nothing-in-hard-rows", "has no logits in the hardest row, and prints the mean of the others",
        (after(LOGITS, _HARD + "            logits = logits.masked_fill(hard[:, None, None], math.nan)\n"), _LESS),
    ),
    Variant(
        "drops-hard-rows", "answers without the hardest row, and prints the mean of the others",
        (after(LOGITS, _HARD + "            logits = logits[~hard]\n"), _LESS),
    ),
    Variant(
        "trains-in-a-finalizer", "trains where an object ends, after its clock has stopped",
        (instead(EVALUATION, _CLOCKED + EVALUATION),),
    ),
)  # fmt: skip
