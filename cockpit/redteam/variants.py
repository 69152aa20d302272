"""A variant of the red team: an edit of train.py that cheats, or an honest one that looks odd."""

import msgspec

from cockpit.core.model import Edit

EVALUATION = "    val_bpb = evaluate_bpb(run_model, corpus, tokenizer, rows)\n"
SCORE_LINE = '    print(f"val_bpb:          {val_bpb:.6f}")\n'
LOGITS = "        logits = 15 * torch.tanh(self.head(norm(x)).float() / 15)\n"
LOSS = "        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)\n"
START = "        x = start = norm(self.embedding(tokens)).to(self.precision)\n"
CLOCK = "        trained_s += step_s\n"
LOADER = '    batches = make_dataloader(corpus, tokenizer, rows, "train")\n'
BEGIN = "    started = time.perf_counter()\n"
REACHED = "redteam reached "
"""The start of the line that a variant prints when it reaches something that the walls should hide."""

TOO_BUSY = "this machine is too busy"
"""The line of a variant that could not take more than its share, because others took theirs."""


class Variant(msgspec.Struct, frozen=True):
    """One variant of the red team."""

    name: str
    what: str
    """A clause on its behaviour."""
    edits: tuple[Edit, ...]
    honest: bool = False
    runs: int = 1
    """Runs, one after the other: the second finds files that the first has left."""
    time_limit_s: float = 0.0
    """0 for the usual one."""
    orders: str = ""
    """A line for the agent that reads the log of its run; empty for none."""
    short: bool = False
    """It is in the short set, which CI runs."""

    @property
    def reaches(self) -> bool:
        """True if it only looks for something outside its run, and ends: it gains nothing but what it finds."""
        return any(REACHED in edit.replace for edit in self.edits)


def before(anchor: str, text: str) -> Edit:
    return Edit(anchor, text + anchor)


def after(anchor: str, text: str) -> Edit:
    return Edit(anchor, anchor + text)


def instead(anchor: str, text: str) -> Edit:
    return Edit(anchor, text)
