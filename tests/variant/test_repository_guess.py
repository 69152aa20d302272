"""The guess of how a repository is researched: shapes that people have, and strange texts."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.core.metric import Direction
from cockpit.variant.guess.commands import documented_commands, with_python
from cockpit.variant.guess.environment import environments
from cockpit.variant.guess.listing import Listing
from cockpit.variant.guess.printed import printed_in_text, printed_names
from cockpit.variant.guess.printed_output import names_in_output
from cockpit.variant.guess.repository import Guess, Known, guess_repository, metric_in_output, other_names
from cockpit.variant.guess.statements import edited_files, metric_statements

SCRIPT = 'LR = 0.1\nfor epoch in range(3):\n    print(f"epoch {epoch} loss: {1:.3f}")\nprint(f"val_acc: {acc:.4f}")\n'


def listed(**texts: str) -> Listing:
    """Return a listing; `__` in a name stands for a slash, and the last `_` for the dot."""
    files = {".".join(name.replace("__", "/").rsplit("_", 1)): text for name, text in texts.items()}
    return Listing(frozenset(files), files)


def guessed(known: Known | None = None, **texts: str) -> Guess:
    return guess_repository(listed(**texts), known or Known())


def test_a_documented_script_is_found_with_its_command_and_metric() -> None:
    found = guessed(README_md="# x\n\n```\n$ python main.py --fast\n```\n", main_py=SCRIPT)
    assert found.file[:2] == ("main.py", "README.md line 4")
    assert found.command[:2] == ("python main.py --fast", "README.md line 4")
    assert found.metric[:2] == ("val_acc", "main.py line 4 prints it")
    assert found.direction[:2] == (Direction.MAX, "its name")
    assert found.questions == []


def test_the_agents_loop_shows_the_file_the_command_and_the_metric() -> None:
    program = (
        "- `bench.py` -- fixed benchmark (do not modify)\n"
        "- `kernel.py` -- the single file you modify\n"
        "4. Run: `uv run bench.py > run.log 2>&1`\n"
        "The goal is to maximize `throughput`; `grep '^throughput:' run.log`\n"
    )
    bench = 'import kernel\nprint(f"throughput: {1.0:.3f}")\nprint(f"latency: {2.0}")\n'
    found = guessed(program_md=program, kernel_py="BLOCK = 8\n", bench_py=bench, prepare_py="import kernel\n")
    assert (found.file.value, found.command.value) == ("kernel.py", "uv run bench.py")
    assert (found.metric.value, found.direction.value) == ("throughput", Direction.MAX)
    assert found.command.evidence == "program.md line 3"
    assert found.questions == []


def test_a_shell_script_is_read_for_the_command_that_it_runs() -> None:
    found = guessed(
        README_md="Run `./run.sh`.\n",
        run_sh="torchrun --standalone --nproc_per_node=8 train_gpt.py\n",
        train_gpt_py='print(f"step:{s} val_loss:{l:.4f}")\n',
    )
    assert found.command.value == "torchrun --standalone --nproc_per_node=8 train_gpt.py"
    assert found.command.evidence == "run.sh line 1, which README.md line 1 runs"
    assert (found.metric.value, found.direction.value) == ("val_loss", Direction.MIN)


def test_two_commands_are_a_question() -> None:
    readme = "`python train.py config/small.py` or\n\n    $ torchrun --nproc_per_node=8 train.py config/large.py\n"
    found = guessed(README_md=readme, train_py='print("val loss", loss)\n', config__small_py="", config__large_py="")
    assert [one.value for one in found.command.candidates] == [
        "python train.py config/small.py",
        "torchrun --nproc_per_node=8 train.py config/large.py",
    ]
    assert found.questions == ["command"]


ONE_FILE_EACH = {
    "README_md": "```\n.venv/bin/python scripts/judge.py ideas/my_idea.py\n```\n",
    "CLAUDE_md": "4. **Run**: `.venv/bin/python scripts/judge.py ideas/<slug>.py`\n",
    "scripts__judge_py": 'import sys\nprint(f"sharpe: {1.0:.2f}")\n',
    "ideas____init___py": "",
    "ideas__first_py": "WINDOW = 20\n",
    "ideas__second_py": "WINDOW = 30\n",
}


def test_a_command_that_takes_a_new_file_offers_the_files_beside_it() -> None:
    found = guessed(None, **ONE_FILE_EACH)
    assert [one.value for one in found.file.candidates] == ["ideas/first.py", "ideas/second.py"]
    assert found.file.evidence == "README.md line 2 runs a new file beside it"
    assert found.command[:2] == (".venv/bin/python scripts/judge.py ideas/first.py", "README.md line 2")
    taken = guessed(Known(file="ideas/second.py"), **ONE_FILE_EACH)
    assert taken.command.value == ".venv/bin/python scripts/judge.py ideas/second.py"
    assert (taken.metric.value, taken.direction.value) == ("sharpe", Direction.MAX)
    assert taken.questions == []


def test_a_missing_file_in_a_folder_without_others_is_no_command() -> None:
    found = guessed(README_md="```\npython main.py ideas/my_idea.py\n```\n", main_py=SCRIPT)
    assert found.file.evidence == "line 3 prints loss" and found.command.value == "python main.py"


def test_two_likely_metrics_and_an_unknown_direction_are_questions() -> None:
    found = guessed(README_md="", train_py='print(f"val_f1: {a}")\nprint(f"val_auc: {b}")\n')
    assert [one.value for one in found.metric.candidates] == ["val_f1", "val_auc"]
    other = guessed(README_md="The metric is `wobble`.\n", train_py='print(f"wobble: {a}")\n')
    assert other.metric.value == "wobble"
    assert other.questions == ["direction"]


def test_a_train_py_that_starts_another_script_is_not_the_file() -> None:
    dispatcher = (
        'import os\nos.execv("python", ["python", "train_cpu.py"])\nos.execv("python", ["python", "train_gpu.py"])\n'
    )
    found = guessed(train_py=dispatcher, train_cpu_py=SCRIPT, train_gpu_py=SCRIPT, prepare_py="print(1)\n")
    assert [one.value for one in found.file.candidates] == ["train_cpu.py", "train_gpu.py"]
    assert found.file.candidates[0].evidence == "train.py line 2 starts it"
    alone = guessed(train_py=dispatcher, train_cpu_py=SCRIPT)
    assert (alone.file.value, alone.metric.value, alone.questions) == ("train_cpu.py", "val_acc", [])


def test_a_sentence_that_allows_an_edit_counts_beside_one_about_something_frozen() -> None:
    text = "- `run.py` (frozen while data come in). Modify this for experiments.\n- `eval.py`: fixed. Do not modify.\n"
    assert [one.value for one in edited_files(listed(program_md=text, run_py="", eval_py=""))] == ["run.py"]


@pytest.mark.parametrize(
    ("line", "direction"),
    [
        ('print("Mean: %.4f    Std: %.4f" % (accs.mean(), accs.std()))', Direction.MAX),
        ('print(f"Mean: {np.mean(losses):.4f}")', Direction.MIN),
        ('print("Average:", sum(errors) / 3)', Direction.MIN),
        ('print("Final: {:.3f}".format(test_acc))', Direction.MAX),
    ],
)
def test_a_mean_is_the_score_that_it_is_taken_of(line: str, direction: Direction) -> None:
    found = guessed(README_md="    $ python main.py\n", main_py=f"LR = 0.1\n{line}\n")
    assert (found.direction.value, found.questions) == (direction, [])


def test_the_name_that_the_documents_keep_by_beats_a_gate() -> None:
    found = guessed(
        README_md="It races hypotheses on the out-of-sample Calmar and keeps the better one.\nGate: val_auc > 0.52\n"
        "\n    $ python main.py\n",
        main_py='print(f"Calmar {c:.2f}")\nprint(f"val_auc={a:.2f}")\n',
    )
    assert (found.metric.value, found.direction.value) == ("Calmar", Direction.MAX)


@pytest.mark.parametrize("whose", ["champion", "Baseline:", "previous"])
def test_the_score_of_another_run_is_not_the_metric(whose: str) -> None:
    script = f'print(f"win_rate: {{a:.2f}}")\nprint(f"  {whose} test accuracy: {{b:.2f}}")\n'
    found = guessed(README_md="`python main.py`\n", main_py=script)
    assert found.metric[:2] == ("win_rate", "main.py line 1 prints it")


def test_a_document_beats_the_name_for_the_direction() -> None:
    readme = "Scored by `score`, where lower is better.\n"
    assert guessed(README_md=readme, train_py='print(f"score: {s}")\n').direction[:2] == ("min", "README.md line 1")


def test_a_setting_that_is_given_is_not_guessed() -> None:
    found = guessed(Known(file="b.py", metric="val_loss"), a_py=SCRIPT, b_py='print(f"val_loss: {x}")\n')
    assert (found.file.value, found.command.value, found.metric.evidence) == ("b.py", "python b.py", "given")


def test_nothing_is_guessed_of_an_empty_repository() -> None:
    found = guessed()
    assert [one.value for one in found] == ["", "", "", ""]
    assert found.questions == ["file", "command", "metric", "direction"]


def test_names_are_offered_where_none_looks_like_a_score() -> None:
    listing = listed(run_py='print("Mean: %.4f    Std: %.4f" % (m, s))\n')
    assert other_names(listing, "run.py", "python run.py") == ["Mean", "Std"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('print(f"val_bpb:          {x:.6f}")', ["val_bpb"]),
        ('print("val_acc:", acc)', ["val_acc"]),
        ('print("val loss", loss)', ["val loss"]),
        ('print("accuracy = %.3f" % acc)', ["accuracy"]),
        ('print("rmse: {:.3f}".format(e))', ["rmse"]),
        ('logging.info("test_auc: %.4f", auc)', ["test_auc"]),
        ('print(json.dumps({"val_acc": acc, "step": 3}))', ["val_acc", "step"]),
        ('print(f"step {s}: train loss {a:.4f}, val loss {b:.4f}")', ["step", "train loss", "val loss"]),
        ('print("val_acc: 0.91")', ["val_acc"]),
        (r'print(f"\rval_acc: {acc:.4f}", end="")', ["val_acc"]),
        (r'print(f"\x1b[1mval_acc\x1b[0m: {acc:.4f}")', ["val_acc"]),
        (r'print("\033[32mval_acc: %.4f\033[0m" % acc)', ["val_acc"]),
        (
            'print(f"val bits per byte: {b:.3f}, train bits per byte: {c:.3f}")',
            ["val bits per byte", "train bits per byte"],
        ),
        ('print("Win rate %d%%" % w)', ["Win rate"]),
        ('print("Win rate {:.0%}".format(w))', ["Win rate"]),
        ('print("Elapsed time %.2f s" % t)', ["Elapsed time"]),
        ('print("error %s" % e, "loading {}".format(p))', []),
        ('print("hello")', []),
        ("print(x)", []),
        ("def (", []),
    ],
)
def test_names_that_code_prints_with_a_number(source: str, names: list[str]) -> None:
    assert [one.name for one in printed_names(source)] == names


@pytest.mark.parametrize(
    "line",
    ["python dev/data/fetch.py", "python data/prepare.py", "python missing.py", "python ../up.py", "python /etc/x.py",
     "python $FILE train.py",
     "python train.py <your config>", "python train.py --sample-only", "python train.py --eval_only=True",
     "pip install train.py", "python sample.py", "python 'open quote train.py", "python train.py download",
     "python train.py eval --fast", "python run train.py", "python train.py init", "python train.py --download",
     "python train.py writes metrics and artifacts"],
)  # fmt: skip
def test_commands_that_are_no_experiment_are_left_out(line: str) -> None:
    files = {"README_md": f"```\n{line}\n```\n", "train_py": "", "sample_py": "", "data__prepare_py": "", "up_py": ""}
    files |= {"dev__data__fetch_py": ""}
    found = documented_commands(listed(**files))
    assert [one.script for one in found] == (["up.py"] if "../up" in line else [])


def test_a_build_file_shows_the_command_where_no_document_does() -> None:
    files = {"Makefile": "run:\n\tpython main.py --fast\n\npython main.py download\n", "main.py": SCRIPT}
    found = guess_repository(Listing(frozenset(files), files))
    assert found.command[:2] == ("python main.py --fast", "Makefile line 2")
    files["README.md"] = "    $ python main.py\n"
    assert guess_repository(Listing(frozenset(files), files)).command.value == "python main.py"


@pytest.mark.parametrize(
    ("output", "names"),
    [
        (
            "Epoch 1/2\n1s 3ms/step - loss: 0.6 - val_accuracy: 0.8\n1s - loss: 0.5 - val_accuracy: 0.9",
            ["val_accuracy"],
        ),
        ("{'eval_loss': 0.41, 'eval_acc': 0.87, 'epoch': 3.0}", ["eval_loss", "eval_acc"]),
        ('{"loss": 1, "val_acc": 0.9}', ["val_acc"]),
        ("[3]\ttrain-rmse:1.70\teval-rmse:2.20", ["eval-rmse"]),
        ("loaded 3 files in 2 s: done", []),
        ("Accuracy of the network on the 10000 test images: 54 %", ["Accuracy"]),
        ("Test loss after 3 epochs is 0.41", ["Test loss"]),
        ("R^2: 0.93", ["R^2"]),
        ("log-likelihood: -123.4", ["log-likelihood"]),
        ("precision: 0.8\nf1: 0.7", ["f1"]),
        ("win rate: 55%", ["win rate"]),
        ("Win rate 55%", ["Win rate"]),
        ("bits per byte: 1.03", ["bits per byte"]),
        ("train bits per byte = 0.98\nval bits per byte = 1.03", ["val bits per byte"]),
        ("tokens per second: 9000", ["tokens per second"]),
        ("Elapsed time: 3.2 s", []),
        ("error 404", []),
    ],
)
def test_the_output_of_a_run_names_likely_metrics(output: str, names: list[str]) -> None:
    printed = names_in_output(output)
    found = metric_in_output(listed(), [one for one, _ in printed.values()])
    assert ([one.value for one in found.candidates] or [found.value] * bool(found.value)) == names


@pytest.mark.parametrize("line", ['print(f"Elapsed time: {t:.2f} s")', 'print("total time =", t)', 'print("time:", t)'])
def test_a_time_is_the_metric_where_documents_call_speed_the_goal(line: str) -> None:
    goal, command = "Make it as fast as possible.\n", "\n    $ python main.py\n"
    found = guessed(README_md=goal + command, main_py=f"N = 3\n{line}\n")
    assert (
        found.metric.value.lower().endswith("time")
        and found.metric.evidence == "README.md line 1; main.py line 2 prints it"
    )
    assert (found.direction.value, found.questions) == (Direction.MIN, [])
    assert guessed(README_md=command, main_py=f"N = 3\n{line}\n").metric.value == ""
    scored = guessed(README_md=goal + command, main_py=f'{line}\nprint("val_acc:", a)\n')
    assert scored.metric.value == "val_acc"


def test_the_last_number_of_a_name_is_shown() -> None:
    assert names_in_output("val_acc: 0.5\rval_acc: 0.75\n")["val_acc"][1] == "0.75"


def test_a_file_that_documents_forbid_to_edit_is_not_the_file() -> None:
    program = "**What you CANNOT do:**\n- Modify `eval.py`.\n\n**What you CAN do:**\n- Edit `model.py`.\n"
    found = edited_files(listed(program_md=program, eval_py="", model_py=""))
    assert [one.value for one in found] == ["model.py"]


WARRIOR = (
    "- `warrior.red`: the file you modify.\n- Modify `evaluate.cjs` or files in `opponents/`. They are read-only.\n"
    "5. Run: `node evaluate.cjs warrior.red 2>&1 > eval.log; cat eval.log`\n"
    '6. `grep "^avg_score:" eval.log`\n**The goal: get the highest avg_score.**\n'
)


def test_a_file_of_another_language_is_found_with_the_command_of_the_agents_loop() -> None:
    found = guessed(
        program_md=WARRIOR,
        README_md="`node evaluate.cjs other.red 2000`\n",
        warrior_red=";redcode",
        evaluate_cjs="console.log(`avg_score:    ${avgScore.toFixed(6)}`);\n",
    )
    assert found.file[:2] == ("warrior.red", "program.md line 1")
    assert found.command[:2] == ("node evaluate.cjs warrior.red", "program.md line 3")
    assert (found.metric.value, found.direction.value) == ("avg_score", Direction.MAX)
    assert found.questions == []


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("go test -bench . -benchtime 5x", "experiment.go"),
        ("cargo bench --bench fft", "src/lib.rs"),
        ("make bench", "kernel.cu"),
        ("npm run bench", "src/index.ts"),
        ("python judge.py", "prompt.md"),
    ],
)
def test_a_command_of_any_language_is_found(command: str, file: str) -> None:
    name = file.replace("/", "__").replace(".", "_")
    program = f"`{file}` is the only file that you edit.\n```\n{command} > run.log\n```\n"
    texts = {"program_md": program, "judge_py": 'print(f"score: {x}")\n', name: "text"}
    found = guess_repository(listed(**texts))
    assert (found.file.value, found.command.value) == (file, command)


def test_a_text_is_edited_only_where_it_is_called_the_only_file() -> None:
    program = "Edit `notes.md` as you like, and `run.log` too.\n`main.py` is what you modify.\n"
    found = edited_files(listed(program_md=program, notes_md="", main_py="", run_log=""))
    assert [one.value for one in found] == ["main.py"]


@pytest.mark.parametrize(
    ("script", "is_run"), [("backtest", True), ("latest", True), ("test_it", False), ("tests", False)]
)
def test_a_name_that_ends_in_test_may_be_an_experiment(script: str, is_run: bool) -> None:
    found = documented_commands(listed(README_md=f"`python {script}.py`\n", **{f"{script}_py": SCRIPT}))
    assert bool(found) == is_run


def test_a_judge_is_run_where_the_agents_loop_keeps_its_output() -> None:
    program = (
        "**What you CANNOT modify:**\n- Anything in `harness/`\n\n**Run**\n```\npython3 -m harness.tracker\n"
        "python3 -m harness.evaluate --config a.yaml > run.log 2>&1\n```\nMaximize `composite_score`.\n"
    )
    texts = {
        "program_md": program,
        "harness__evaluate_py": 'print(f"composite_score: {1.0:.3f}")\n',
        "harness__tracker_py": 'print(f"best score: {1.0}")\n',
        "sets__features_py": "WINDOW = 3\n",
    }
    assert guess_repository(listed(**texts)).file.value == "", "nothing in a folder that is fixed is edited"
    found = guess_repository(listed(**texts), Known(file="sets/features.py"))
    assert found.command.value == "python3 -m harness.evaluate --config a.yaml"
    assert (found.metric.value, found.direction.value) == ("composite_score", Direction.MAX)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("console.log(`avg_score:    ${avg.toFixed(6)}`)", ["avg_score"]),
        ('printf("val loss: %f\\n", loss);', ["val loss"]),
        ('println!("time_ms: {}", t);', ["time_ms"]),
        ('fmt.Printf("tokens: %d\\n", n)', ["tokens"]),
        ("const score = { best: 3 };", []),
    ],
)
def test_names_that_code_of_another_language_prints(line: str, names: list[str]) -> None:
    assert [one.name for one in printed_in_text(line)] == names


@pytest.mark.parametrize(
    ("words", "started"),
    [
        ("python a.py x", "/e/bin/python a.py x"),
        ("uv run a.py", "/e/bin/python a.py"),
        ("uv run python -u a.py", "/e/bin/python -u a.py"),
        (".venv/bin/python a.py", "/e/bin/python a.py"),
        ("torchrun --nproc_per_node=8 a.py", "/e/bin/torchrun --nproc_per_node=8 a.py"),
        ("env A=1 python a.py", "env A=1 /e/bin/python a.py"),
        ("conda run -n lab --no-capture-output python a.py", "/e/bin/python a.py"),
        ("pixi run -e cuda torchrun a.py", "/e/bin/torchrun a.py"),
        ("make bench", "make bench"),
    ],
)
def test_a_command_is_started_by_the_environments_python(words: str, started: str) -> None:
    found = with_python(tuple(words.split()), "/e/bin/python", lambda name: f"/e/bin/{name}")
    assert " ".join(found) == started


def test_environments_in_the_order_of_preference() -> None:
    conda = Listing(frozenset(), {"environment.yml": "channels: [x]\nname: lab-1\n"})
    there = {"uv.lock", "poetry.lock", "pixi.toml", "environment.yml"}
    found = environments(conda, there.__contains__)
    assert [one.words for one in found] == [
        "uv run", "poetry run", "pixi run", "conda run -n lab-1",
    ]  # fmt: skip
    assert [one.words for one in environments(conda, (there | {".venv/bin/python"}).__contains__)] == [
        ".venv/bin/python"
    ]
    assert environments(Listing(frozenset(), {}), lambda path: False) == []


WORDS = [
    *"ab_./`*\"'#$<>|&\\\n\t{}%:=é\0 ", "python ", "uv run ", "train.py", 'print(f"', "metric", "edit",
    "-m ", ".sh",
    "val_acc", "step", "lower is better",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), max_size=60).map("".join)
PATHS = st.sampled_from(["README.md", "program.md", "train.py", "run.sh", "src/a.py", "sub/README.md", "bench.py"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(PATHS, TEXTS), st.lists(TEXTS, max_size=3))
def test_any_text_gives_a_guess_whose_paths_exist(texts: dict[str, str], more: list[str]) -> None:
    listing = Listing(frozenset([*texts, *more]), texts)
    found = guess_repository(listing)
    assert found.file.value == "" or found.file.value in listing.paths
    assert not PurePosixPath(found.file.value).is_absolute()
    for one in found:
        assert not one.candidates or len({each.value for each in one.candidates}) > 1
        assert one.value == "" or one.evidence
    metric_statements(listing)


def test_a_long_line_and_deep_code_take_no_time() -> None:
    bad = {"README.md": "`python " * 200_000, "train.py": "(" * 50_000, "program.md": "edit train.py " * 100_000}
    assert guess_repository(Listing(frozenset(bad), bad)).file.value == "train.py"


def test_a_go_benchmark_in_the_output_names_its_metrics() -> None:
    found = names_in_output("BenchmarkEvalLoss-8   5   123456 ns/op   1.2345 val_bpb\nok  x  3.2s")
    assert {name: word for name, (_, word) in found.items()} == {"ns/op": "123456", "val_bpb": "1.2345"}


def test_each_sentence_of_a_line_counts_alone() -> None:
    texts = {
        "README.md": "Edit only the single file `prompts/system.txt`. Run `python evaluate.py > run.log`.",
        "evaluate.py": "print(f'pass_rate: {rate}')\n",
        "prompts/system.txt": "You solve problems.\n",
    }
    assert guess_repository(Listing(frozenset(texts), texts)).file.value == "prompts/system.txt"


def test_a_harness_that_imports_the_edited_file_is_its_command_whatever_its_name_says() -> None:
    program = (
        "`train.py` is the single file you modify.\n\n```\nuv run prepare.py --download\n```\n\n"
        "Run the backtest:\n\n```\nuv run prepare.py\n```\n\nYour optimization target is the **Sharpe ratio**.\n"
    )
    prepare = (
        'def score():\n    import train\n\n\nprint(f"  Avg Loss: {loss:.2f}")\nprint(f"  Sharpe Ratio: {x:.2f}")\n'
    )
    found = guessed(program_md=program, train_py="FAST = 3\n", prepare_py=prepare)
    assert (found.file.value, found.command.value) == ("train.py", "uv run prepare.py")
    assert (found.metric.value, found.direction.value) == ("Sharpe Ratio", Direction.MAX)
    assert found.questions == []


def test_a_script_in_a_folder_is_found_where_the_top_has_none() -> None:
    found = guessed(packages__a__train_py=SCRIPT, packages__a__lib_py="X = 1\n", setup_py="")
    assert (found.file.value, found.command.value) == ("packages/a/train.py", "python packages/a/train.py")
    two = guessed(packages__a__train_py=SCRIPT, packages__b__train_py=SCRIPT)
    assert [one.value for one in two.file.candidates] == ["packages/a/train.py", "packages/b/train.py"]
    assert guessed(packages__a__train_py=SCRIPT, main_py=SCRIPT).file.value == "main.py"


def test_a_score_that_documents_name_and_the_code_does_not_print_leaves_another_one_open() -> None:
    program = "The metric is the **Sharpe ratio**: higher is better.\n"
    found = guessed(program_md=program, train_py='print(f"Avg Loss: {loss:.2f}")\n')
    assert [one.value for one in found.metric.candidates] == ["Avg Loss", "Sharpe ratio"]


def test_a_name_with_a_remark_is_a_name_and_an_exception_no_number() -> None:
    source = 'print(f">>> MEAN SHARPE (all windows) : {x}")\n'
    assert [one.name for one in printed_names(source)] == ["MEAN SHARPE"]
    found = guessed(README_md="`python main.py`\n", main_py='LR = 1\nprint(f"loop error: {e}")\n')
    assert found.metric.value == ""
