"""`cockpit init` starts a research project in an empty folder; `cockpit` without a command offers it there."""

import sys

from cockpit.cli.confirm import confirm
from cockpit.cli.locate import here
from cockpit.session.template import DEFAULT_TEMPLATE, TemplateError, is_empty, lay_template, template_files


def init(template: str, yes: bool) -> None:
    """Copy the template into the current folder and commit it. Raises TemplateError or CommandError."""
    folder = here()
    names = ", ".join(file.name for file in template_files(template))
    if not is_empty(folder):
        raise TemplateError(f"{folder} is not empty: run `cockpit init` in an empty folder")
    confirm(f"This copies {names} into {folder} and commits them.", yes)
    lay_template(template, folder)
    print(f"{folder} has {names}: `cockpit` makes a session and opens it")


def offer_template() -> None:
    """Offer the default project if the current folder is empty. A refusal changes nothing."""
    folder = here()
    if not is_empty(folder) or not sys.stdin.isatty():
        return
    names = ", ".join(file.name for file in template_files(DEFAULT_TEMPLATE))
    print(f"{folder} is empty. Cockpit can start the default research project here: {names}, committed to git.")
    if input("Start it? [y/N] ").strip().lower() in ("y", "yes"):
        lay_template(DEFAULT_TEMPLATE, folder)
