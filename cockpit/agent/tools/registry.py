"""The tools: everything that an agent can do. Claude, the MCP server and the commands share one registry.

A tool never raises because of its arguments. The error is returned as a result that says what to do instead. No tool
starts a process, opens a socket or writes a file; all changes go through the api.
"""

import logging
from collections.abc import Mapping

from pydantic import ValidationError

from cockpit.agent.json_strings import validated
from cockpit.agent.proposer_api import ProposerApi, ProposerTrouble
from cockpit.agent.tools.proposals import ProposalError
from cockpit.agent.tools.reading import READING
from cockpit.agent.tools.tool import Answer, Tool, ToolError
from cockpit.agent.tools.verbs import VERB_TOOLS
from cockpit.agent.views.quoting import clip, line, plain

log = logging.getLogger("cockpit.tools")

TOOLS: dict[str, Tool] = {tool.name: tool for tool in (*VERB_TOOLS, *READING)}


def call(
    api: ProposerApi, author: str, name: str, arguments: object, registry: Mapping[str, Tool] | None = None
) -> Answer:
    """Run a tool of `registry` (TOOLS if None) for `author`.

    Always returns an answer, `failed` if the call failed. Raises only ProposerTrouble, which ends the turn.
    """
    tools = TOOLS if registry is None else registry
    tool = tools.get(name)
    if tool is None:
        return _error_answer(f"There is no tool {line(name, 60)!r}; the tools are {', '.join(tools)}.")
    try:
        return Answer(tool.act(api, author, validated(tool.arguments, arguments)))
    except ValidationError as error:
        return _error_answer(
            f"{name} was called with invalid arguments: {_sentences(error)}. Correct them and call it again."
        )
    except (ToolError, ProposalError) as error:
        return _error_answer(str(error))
    except ProposerTrouble:
        raise
    except Exception as error:
        # An agent can work without a tool that fails. An exception would end the turn and lose its work so far.
        log.exception("%s failed", name)
        return _error_answer(f"{name} failed: {error or type(error).__name__}")


def _error_answer(sentence: str) -> Answer:
    return Answer({"error": clip(plain(sentence), 2_000)}, failed=True)


def _sentences(error: ValidationError) -> str:
    shown = []
    for problem in error.errors(include_url=False, include_context=False)[:6]:
        where = ".".join(str(part) for part in problem["loc"]) or "arguments"
        shown.append(f"{line(where, 80)}: {problem['msg']}, not {line(repr(problem['input']), 80)}")
    return "; ".join(shown)
