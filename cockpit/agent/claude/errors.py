"""Failures of a request to the Messages API, each with the sentence that a person reads.

Exception
├── Interrupted              a person ended the turn, or the worker stops
├── RetryableError           the turn sends the request again
└── ProposerTrouble          the turn ends; the worker asks again later
    └── KeyRefused
"""

import anthropic
from anthropic.types import Message

from cockpit.agent.proposer_api import ProposerTrouble
from cockpit.agent.views.quoting import line


class Interrupted(Exception):
    """A person ended the turn, or the worker stops."""


class RetryableError(Exception):
    """The request failed for a reason that may pass; it may be sent again after `after_s`."""

    def __init__(self, sentence: str, after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class KeyRefused(ProposerTrouble):
    def __init__(self) -> None:
        super().__init__("the API key was refused (401)", retry_in_s=600.0)


def translated(error: anthropic.APIError, model: str) -> Exception:
    """Return an error of the API as RetryableError if a retry can help, otherwise as ProposerTrouble."""
    if isinstance(error, anthropic.APITimeoutError):
        return RetryableError("the API did not answer in time")
    if not isinstance(error, anthropic.APIStatusError):
        return RetryableError("the API is unreachable")
    status, kind = error.status_code, error.type or ""
    if status == 429 or kind == "rate_limit_error":
        return RetryableError("the API's rate limit is reached (429)", _retry_after_s(error))
    if status == 529 or kind == "overloaded_error":
        return RetryableError("the API is overloaded (529)", _retry_after_s(error))
    if status >= 500 or status in (408, 409) or kind in ("api_error", "timeout_error"):
        return RetryableError(f"the API failed ({status})", _retry_after_s(error))
    return _refused(status, kind, line(error.api_message or "", 200), model)


def _refused(status: int, kind: str, message: str, model: str) -> ProposerTrouble:
    if status == 401:
        return KeyRefused()
    if status == 402 or kind == "billing_error" or "credit balance" in message.lower():
        return ProposerTrouble("the API account has no credit left: add credit, or choose another proposer", 1_800.0)
    if status == 403:
        return ProposerTrouble(f"the API key lacks the permission (403): {message}", 600.0)
    if status == 404:
        return ProposerTrouble(f"the API does not know the model {model!r}: set another in cockpit.toml", 600.0)
    return ProposerTrouble(f"the API refused the request ({status}): {message}", 300.0)


def _retry_after_s(error: anthropic.APIStatusError) -> float:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def usable(answer: Message, name: str) -> Message:
    """Return the answer if the turn can continue with it. Raises ProposerTrouble or RetryableError."""
    match answer.stop_reason:
        case "refusal":
            why = getattr(answer.stop_details, "explanation", None) or getattr(answer.stop_details, "category", None)
            raise ProposerTrouble(f"{name} refused to answer{f': {line(why, 200)}' if why else ''}", retry_in_s=300.0)
        case "max_tokens":
            raise ProposerTrouble(
                f"{name}'s answer reached its limit: raise max_tokens in [agent] of cockpit.toml, or the budget"
            )
        case "pause_turn":
            raise RetryableError(f"{name} paused before its answer was complete")
        case "model_context_window_exceeded":
            raise ProposerTrouble(f"{name}'s turn exceeded the model's context window; the next turn starts afresh")
    if not any(block.type == "tool_use" or (block.type == "text" and block.text.strip()) for block in answer.content):
        raise RetryableError(f"{name} gave an empty answer")
    return answer
