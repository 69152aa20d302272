"""A notice outside the terminal: the desktop shows it while another window is in front.

foot and rxvt read OSC 777. iTerm2, kitty, WezTerm, Ghostty and Windows Terminal read OSC 9. Others ignore both.
"""

from cockpit.tui.plain import cut, plain

MOST_CELLS = 200
_READ_777 = ("foot", "rxvt")


def sequence(title: str, text: str, term: str) -> str:
    """Return the escape sequence of a notice, for a terminal whose TERM is `term`."""
    title, text = (cut(plain(words), MOST_CELLS).replace(";", ",") for words in (title, text))
    if term.startswith(_READ_777):
        return f"\x1b]777;notify;{title};{text}\x07"
    return f"\x1b]9;{title}: {text}\x07"
