"""Values in sentences, tables and reports of other programs; where reading one is a guess, a pattern is asked for."""

import shlex

import pytest

from cockpit.core.metric import Direction, Metric
from cockpit.core.model import Outcome
from tests.fleet.test_printed_values import value_of, verdict_on

SKLEARN = """\
              precision    recall  f1-score   support

           0       0.50      1.00      0.67         1
           1       0.00      0.00      0.00         1

    accuracy                           0.60         5
   macro avg       0.50      0.56      0.49         5
weighted avg       0.70      0.60      0.61         5
"""
COCO = """\
Running per image evaluation...
Evaluate annotation type *bbox*
 Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.374
 Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.587
 Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = -1.000
 Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.501
 Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ] = 0.310
"""
ULTRALYTICS = """\
                 Class     Images  Instances      Box(P          R      mAP50  mAP50-95): 100%|###| 4/4 [00:01<00:00]
                   all        128        929      0.640      0.537      0.605      0.446
                person        128        254      0.797      0.677      0.764      0.538
"""
LIGHTNING = """\
\u250f\u2501\u2501\u2501\u2533\u2501\u2501\u2501\u2513
\u2503   Test metric   \u2503  DataLoader 0  \u2503
\u2502    test_acc     \u2502    0.9163      \u2502
\u2502    test_loss    \u2502    0.2793      \u2502
"""
KERAS = (
    "Epoch 2/2\n\x1b[1m9/9\x1b[0m \x1b[32m\u2501\u2501\x1b[0m \x1b[1m3s\x1b[0m 1ms/step - accuracy: 0.9762 - loss: 0.07"
    " - val_accuracy: 0.9722 - val_loss: 0.09\n"
)
PYTEST_BENCHMARK = """\
---------------- benchmark: 2 tests ----------------
Name (time in us)          Min                 Max               Mean            Outliers  OPS (Kops/s)
-------------------------------------------------------------------------------------------------------
test_fft           12.1000 (1.0)       45.2000 (1.0)      13.5000 (1.0)      120;340       74.0741 (1.0)
test_sort          22.1000 (1.8)       95.2000 (2.1)      23.5000 (1.7)       20;340       42.0741 (0.6)
-------------------------------------------------------------------------------------------------------
"""
GOOGLE_BENCHMARK = """\
Benchmark             Time             CPU   Iterations
-------------------------------------------------------
BM_sort/1024       1234 ns         1230 ns       567
"""
PERF = """\
 Performance counter stats for './a.out':

          1,234.56 msec task-clock                #    0.998 CPUs utilized
     4,567,890,123      cycles                    #    3.700 GHz            ( +-  0.12% )
     9,876,543,210      instructions              #    2.16  insn per cycle
       1.236789012 seconds time elapsed
"""
LM_EVAL = """\
|Tasks|Version|Filter|n-shot|Metric|   |Value |   |Stderr|
|-----|------:|------|-----:|------|---|-----:|---|-----:|
|arc  |      1|none  |     0|acc   |\u2191  |0.4352|\xb1  |0.0145|
"""


def read(name: str, printed: str) -> float | None:
    return value_of(Metric(name, Direction.MAX), printed)


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("Final accuracy of the model is 0.93 after 3 epochs", 0.93),
        ("The accuracy on the test set is 93.4%", 93.4),
        ("Accuracy of the network on the 10000 test images: 93 %", 93.0),
        ("Accuracy score: 0.93", 0.93),
        ("Got accuracy of 0.93", 0.93),
        ("The model reached an accuracy of 93.4% on the test images", 93.4),
        ("INFO 12:01 accuracy at step 300: 0.93", 0.93),
        ("accuracy (epoch 3): 0.93", 0.93),
        ("accuracy was 0.5 after epoch 1\naccuracy was 0.93 after epoch 2", 0.93),
        ("achieved 0.93 accuracy", 0.93),
        ("93.4% accuracy", 93.4),
    ],
)
def test_a_value_in_a_sentence_is_read(printed: str, value: float) -> None:
    assert read("accuracy", printed) == value


@pytest.mark.parametrize(
    "printed",
    [
        "accuracy of 5 classes",
        "the best accuracy so far is 0.95",
        "target accuracy of 0.95",
        "accuracy is 3 points higher",
        "accuracy was 0.2 better than before",
        "epoch 3 accuracy improved",
        "if accuracy is 0.9 it stops",
        "accuracy of the model for v1.5 accuracy",
        "accuracy > 0.9",
    ],
)
def test_a_sentence_about_something_else_gives_no_value(printed: str) -> None:
    assert read("accuracy", printed) is None


def test_a_value_of_another_shape_goes_before_a_sentence() -> None:
    assert read("accuracy", "accuracy: 0.93\nThe accuracy of the first epoch is 0.5") == 0.93
    assert read("accuracy", "epoch 3 accuracy: 0.93\nThe accuracy of the first epoch is 0.5") == 0.93


@pytest.mark.parametrize(
    "printed",
    [
        "The accuracy on the train set is 0.99\nThe accuracy on the test set is 0.93",
        "Accuracy for class: plane is 52.3 %\nAccuracy for class: car is 61.0 %",
        "copy 0.5 accuracy\nscale 0.6 accuracy",
        "model  accuracy\nresnet  0.5\nvit  0.6",
        "| resnet | accuracy | 0.5 |\n| vit | accuracy | 0.6 |",
    ],
)
def test_values_beside_several_words_are_asked_about_with_the_pattern(printed: str) -> None:
    verdict = verdict_on(Metric("accuracy"), printed)
    assert verdict.outcome is Outcome.CRASH
    assert "accuracy is printed beside other words each time: give --pattern '" in verdict.message


def pattern_in(message: str) -> str:
    """Return the pattern that a shell passes on where a person copies the message."""
    return shlex.split(message.partition("--pattern ")[2].removesuffix(" or another"))[0]


@pytest.mark.parametrize(
    "printed",
    [
        "The accuracy on 500 images of  train is 0.99\nIt's accuracy on 100 images of  test is 0.93\n",
        'accuracy{{run="a"}} 0.93',
        "copy 0.5 accuracy\nscale 0.93 accuracy",
        "accuracy improved from 0.5 to 0.93",
        "accuracy@0.5: 0.93",
    ],
)
def test_the_pattern_that_is_shown_reads_its_line(printed: str) -> None:
    asked = pattern_in(verdict_on(Metric("accuracy"), printed).message)
    assert value_of(Metric("accuracy", pattern=asked), printed) == 0.93


@pytest.mark.parametrize(
    ("name", "printed", "value"),
    [
        ("accuracy", SKLEARN, 0.6),
        ("macro avg f1-score", SKLEARN, 0.49),
        ("weighted avg recall", SKLEARN, 0.6),
        ("f1-score", SKLEARN, None),
        ("AP", COCO, 0.374),
        ("mAP", COCO, 0.374),
        ("AP50", COCO, 0.587),
        ("APs", COCO, None),
        ("AP_large", COCO, 0.501),
        ("AR@10", COCO, 0.31),
        ("AP", f"{COCO}Evaluate annotation type *segm*\n{COCO.splitlines()[2].replace('374', '312')}", None),
        ("mAP50", ULTRALYTICS, 0.605),
        ("mAP50-95", ULTRALYTICS, 0.446),
        ("test_acc", LIGHTNING, 0.9163),
        ("val_accuracy", KERAS, 0.9722),
        ("accuracy", KERAS, 0.9762),
        ("test_sort Mean", PYTEST_BENCHMARK, 23.5),
        ("Mean", PYTEST_BENCHMARK, None),
        ("CPU", GOOGLE_BENCHMARK, 1230.0),
        ("instructions", PERF, 9_876_543_210.0),
        ("insn per cycle", PERF, 2.16),
        ("task-clock", PERF, 1234.56),
        ("time elapsed", PERF, 1.236789012),
        ("acc", LM_EVAL, 0.4352),
    ],
)
def test_the_report_of_a_known_program_is_read(name: str, printed: str, value: float | None) -> None:
    assert read(name, printed) == value


@pytest.mark.parametrize(
    "printed",
    [
        "<val_acc>0.91</val_acc>",
        '<result val_acc="0.91" loss="3"/>',
        '<metric name="val_acc" value="0.91"/>',
        '<property name="val_acc" type="float" value="0.91"/>',
        "val_acc,0.91",
        '"val_acc","0.91"',
        "('val_acc', 0.91)",
        "[('loss', 3.0), ('val_acc', 0.91)]",
        "epoch;val_acc\n1;0.5\n2;0.91",
        "model,data,optimizer,val_acc\nr50,cifar,adam,0.91",
        "| Model | Data | val_acc |\n|---|---|---|\n| r50 | cifar | **0.91** |",
        "\u2551 val_acc \u2551 0.91 \u2551",
        "val_acc = 0.910(12)",
        "val_acc: 0.91 \xb1 0.01",
        "val_acc: 0.91 +- 0.01",
        "val_acc \u21d2 0.91",
        "val_acc \u2248 0.91",
        "val_acc: ~0.91",
        "val_acc: <tf.Tensor: shape=(), dtype=float32, numpy=0.91>",
    ],
)
def test_a_value_in_markup_a_pair_a_row_or_with_its_spread_is_read(printed: str) -> None:
    assert read("val_acc", printed) == 0.91


@pytest.mark.parametrize(
    ("printed", "value", "unit"),
    [
        ("cost%: 91.5", 91.5, "%"),
        ("cost: ms 12.3", 12.3, "ms"),
        ("cost: USD 12.3", 12.3, ""),
        ("cost: US$12.3", 12.3, ""),
        ("12.3 ms cost", 12.3, "ms"),
    ],
)
def test_a_unit_stands_before_the_number_or_behind_the_name(printed: str, value: float, unit: str) -> None:
    metrics = verdict_on(Metric("cost"), printed).metrics
    assert metrics is not None and (metrics.score, metrics.unit) == (value, unit)


@pytest.mark.parametrize(
    ("name", "printed", "value"),
    [("speedup", "1.80x speedup", 1.8), ("compression ratio", "2\xd7 compression ratio", 2.0), ("acc", "2x acc", None)],
)
def test_a_ratio_is_read_before_its_name(name: str, printed: str, value: float | None) -> None:
    assert read(name, printed) == value


@pytest.mark.parametrize(("name", "printed"), [("GFLOP/s", "n=1024  12.5 GFLOP/s"), ("ns/iter", "bench: 12.5 ns/iter")])
def test_a_rate_is_read_before_its_name(name: str, printed: str) -> None:
    assert read(name, printed) == 12.5


@pytest.mark.parametrize(
    ("name", "printed", "value"),
    [
        ("val_acc", 'val_acc{split="val"} 0.93 1700000000', 0.93),
        ("val_acc", "| **val_acc** | **0.93** |", 0.93),
        ("val_acc", "- **val_acc:** 0.93", 0.93),
        ("val_acc", "val_acc: **0.93**", 0.93),
        ("val_acc", "val_acc: `0.93`", 0.93),
        ("val_acc", "val_acc: 0.93\U0001f389", 0.93),
        ("val_acc", "val_acc ==> 0.93", 0.93),
        ("val_acc", "val_acc >>> 0.93", 0.93),
        ("val_acc", "val_acc: mean 0.93 std 0.1", 0.93),
        ("val_acc", "val_acc: 93 out of 100", 0.93),
        ("tok_s", "tok_s: 1_000.5", 1000.5),
        ("tok_s", "tok_s: 1\u202f234\u202f567", 1234567.0),
        ("точность", "Точность: 0.93", 0.93),
        ("验证准确率", "验证准确率为0.93", 0.93),
        ("准确率", "最终准确率：0.93", 0.93),
        ("val_acc", '{"metric":"val_acc","step":3,"value":0.93}', 0.93),
        ("val_acc", '{"value":0.93,"name":"val_acc"}', 0.93),
        ("BLEU", '{"name": "BLEU", "score": 27.4, "signature": "x"}', 27.4),
        ("val_acc", '{\n "metrics": [\n  {\n   "name": "val_acc",\n   "value": 0.93\n  }\n ]\n}', 0.93),
        ("val_acc", '{\n "val_acc": {\n  "mean": 0.93,\n  "std": 0.1\n }\n}', 0.93),
        ("val_acc", "val_acc:\n  mean: 0.93\n  std: 0.1", 0.93),
        ("val_acc", "{'train': {'acc': 0.99}, 'val': {'acc': 0.93}}", 0.93),
        ("val/acc", '{"val": {"acc": 0.93}, "train": {"acc": 0.99}}', 0.93),
        ("val_acc", "Val:\n  acc: 0.93\nTrain:\n  acc: 0.99", 0.93),
        ("eval/reward", "| eval/ |  |\n|    reward | 22.5 |\n| train/ |  |\n|    reward | 1.5 |", 22.5),
    ],
)
def test_a_value_is_read_by_its_labels_its_path_or_the_heading_above_it(name: str, printed: str, value: float) -> None:
    assert read(name, printed) == value


@pytest.mark.parametrize(
    ("printed", "remedy"),
    [
        ('acc{split="train"} 0.99\nacc{split="val"} 0.93', "--pattern 'acc\\{split=\"val\"\\}\\s+(\\S+)'"),
        ("{'val': {'acc': 0.93}, 'train': {'acc': 0.99}}", "--metric train_acc"),
        ("Val:\n  acc: 0.93\nTrain:\n  acc: 0.99", "--metric train_acc"),
        ("val - acc: 0.93\ntrain - acc: 0.99", r"--pattern 'train\s+\-\s+acc:\s+(\S+)'"),
        ("[train] acc=0.99\n[val] acc=0.93", r"--pattern '\[val\]\s+acc=(\S+)'"),
        ("acc (train): 0.99\nacc (val): 0.93", r"--pattern 'acc\s+\(val\):\s+(\S+)'"),
        ("训练acc: 0.99\n验证acc: 0.93", r"--pattern '验证acc:\s+(\S+)'"),
        ("| Metric | Train | Val |\n|---|---|---|\n| acc | 0.99 | 0.93 |", r"--pattern '\|\s+acc\s+\|\s+(\S+)'"),
        ("acc: 0,93", r"--pattern 'acc:\s+(\S+)'"),
        ("acc: 1.234,56", r"--pattern 'acc:\s+(\S+)'"),
        ("acc: 1 234 567", r"--pattern 'acc:\s+([\d., ]*\d)'"),
    ],
)
def test_a_value_that_may_be_another_one_is_asked_for(printed: str, remedy: str) -> None:
    verdict = verdict_on(Metric("acc", Direction.MAX), printed)
    assert verdict.outcome is Outcome.CRASH
    assert remedy in verdict.message


@pytest.mark.parametrize(
    ("printed", "value"),
    [("acc: 0,93", 0.93), ("acc: 1.234,56", 1234.56), ("acc: 1 234,5", 1234.5), ("acc: 1 234 567", 1234567.0)],
)
def test_a_pattern_tells_that_a_number_in_another_notation_is_one(printed: str, value: float) -> None:
    assert value_of(Metric("acc", Direction.MAX, pattern=r"acc:\s+([\d., ]*\d)"), printed) == value


def test_two_values_with_a_stroke_between_them_are_no_quotient() -> None:
    assert read("acc", "acc: 0.99/0.93") is None
    assert read("acc", "acc: 93/100") == 0.93
