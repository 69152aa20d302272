"""The doctor reads the output of the `sky` command, as SkyPilot 0.14.1 prints it."""

import pytest

from cockpit.cli.doctor import enabled_infra, refusal

CHECKED = """\
Checking credentials to enable infra for SkyPilot.
  AWS: disabled
    Reason [compute, storage]: AWS credentials are not set.

\x1b[32m🎉 Enabled infra 🎉\x1b[0m
  Kubernetes [compute]
    Allowed contexts:
    └── kind
  Slurm [compute]
"""
NO_SUCH_GPU = """\
YAML to run: experiment.yaml
Running on cluster: sky-74a8-root
No resource satisfying Slurm({'B999': 1}) on Slurm.
sky.exceptions.ResourcesUnavailableError: \x1b[31mCatalog does not contain any instances satisfying it: 1x B999.
To fix: relax or change the resource requirements.

Hint: sky gpus list to list available accelerators.
"""


def test_what_is_enabled_is_named() -> None:
    assert enabled_infra(CHECKED) == ["Kubernetes", "Slurm"]
    assert enabled_infra("Checking credentials to enable infra for SkyPilot.\n  AWS: disabled\n") == []


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (NO_SUCH_GPU, "Catalog does not contain any instances satisfying it: 1x B999."),
        ("ValueError: Invalid resources YAML: no `acceleratorz`\n", "Invalid resources YAML: no `acceleratorz`"),
        ("YAML to run: experiment.yaml\nit went wrong\n\n", "it went wrong"),
        ("", "no reason was given"),
    ],
)
def test_why_nothing_would_be_launched_is_one_sentence(output: str, said: str) -> None:
    assert refusal(output) == said
