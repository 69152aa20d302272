"""The glossary: the words of docs/design.md and their meanings."""

MEANINGS: dict[str, str] = {
    "session": "one research run; a folder sessions/NAME/ holds everything about it",
    "experiment": "one variant to be measured: base, change, seed, tier, reason. Known as e0042",
    "attempt": "one run of an experiment on one cluster: arm, replicate, retry, control, validation, confirmation",
    "wave": "experiments proposed together to answer one question, usually a factorial grid: factors x levels",
    "proposal": "a wave that waits for approval",
    "arm": "one cell of a wave",
    "proposer": "who proposes: claude, search, grid, tpe, hybrid, human, or an outside agent",
    "cluster, class": (
        "one SkyPilot cluster (gpu-01 …); its hardware class is the full name of its accelerator, with their number "
        "where nodes differ in it"
    ),
    "knob, constant": (
        "a value with a name in the code, its configuration or its command line, which experiments vary"
    ),
    "baseline, incumbent": "the unchanged code; the best variant kept so far",
    "control": "the incumbent run again on a cluster, to measure that cluster and the noise",
    "metric": (
        "what is optimised: a name, a direction, how it is read from the output. val_bpb, lower is better, by default"
    ),
    "screen, validate": "the two tiers: try widely on the plentiful class, confirm the few on the better one",
    "keep, discard, crash": "what became of an experiment, as in autoresearch's results.tsv",
    "manual, copilot, autopilot": (
        "who decides: the person; the agent proposes and the person approves; the agent within the envelope"
    ),
    "rescored, self-scored": (
        "the score was computed outside its run (✓), or is the word of its own run (?); ✗ failed a probe"
    ),
    "envelope": "what autopilot may do unasked: dollars, GPU-hours, wave size, kinds of edit",
    "filler": "pre-approved work for a cluster that would otherwise idle",
    "ledger": "the append-only record of all of it",
}
"""Each word, or words that belong together, to its meaning."""


def meaning_of(word: str) -> str:
    """Return `wave: experiments proposed together …` for a word of the glossary; empty for any other."""
    wanted = word.strip().casefold()
    for words, meaning in MEANINGS.items():
        if wanted.removesuffix("s") in (named := words.split(", ")) or wanted in named:
            return f"{words}: {meaning}"
    return ""
