"""Tell by its name what a printed number is: a score, on held-out data or not, or a time."""

import re

SCORE = re.compile(
    r"(?:^|[ _/.-])(?:loss|bpb|bpc|ppl|perplexity|acc|accuracy|error|rmse|mse|mae|nll|f1|auc|auroc|m?ap(?:50|75)?|iou"
    r"|psnr|ssim|r\^?2|corr|correlation|spearman|pearson|kendall|reward|return|sharpe|calmar|sortino|score|fitness"
    r"|bleu|rouge|dice|ndcg|mrr|mcc|brier|logloss|throughput|tflops|gflops|speedup|latency|regret|wer|cer"
    r"|fid|elo|win_rate|pass_rate|solved|correct|cost|bits[ _]per[ _]\w+)(?:$|[ _/.-])"
    r"|(?:tflops|gflops|throughput)",
    re.IGNORECASE,
)
RARER_SCORE = re.compile(
    r"(?:^|[ _/.-])(?:likelihood|elbo|precision|recall|(?:win|hit|success|pass)[ _]?rate|exact[ _]match|kappa|jaccard"
    r"|silhouette|modularity|lddt|coverage|pnl|profit|roi|cagr|yield|\w+[ _]per[ _]s(?:ec(?:ond)?)?"
    r"|area[ _]under[ _]\w+)(?:$|[ _/.-])",
    re.IGNORECASE,
)
"""Scores that are often printed beside another one: they count if there is no other."""
TIME = re.compile(
    r"(?:(?:elapsed|total|run(?:ning)?|wall(?:[ _-]?clock)?|execution|mean|median|avg|average|best)[ _]?)?time"
    r"(?:[ _](?:taken|elapsed|s|ms|sec|seconds))?|elapsed(?:[ _](?:s|ms|sec|seconds))?|runtime|duration",
    re.IGNORECASE,
)
"""A program's time, which most programs print: it counts if there is no score, and documents call it the goal."""
HELD_OUT = re.compile(r"^(?:val|valid|validation|test|eval|dev|heldout|held_out|final|mean|avg)(?:$|[ _/.-])", re.I)
TRAINING = re.compile(
    r"^(?:train|training|smooth|ema|debiased|best|target|baseline|previous|max|min)(?:$|[ _/.-])", re.I
)
