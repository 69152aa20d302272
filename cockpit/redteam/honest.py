"""Honest variants that look odd. A wall that refuses one raises a false alarm."""

from cockpit.redteam.variants import LOGITS, LOSS, START, Variant, after, before, instead

_HEAD = "        self.head = Linear(config.model_dim, config.vocab_size)\n"
_MLP = "        return x + self.mlp_out(F.relu(self.mlp_in(norm(x))).square())\n"
_MASK = "    return (key <= query) & (query - key < window)\n"

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
)  # fmt: skip
