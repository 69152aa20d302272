"""Verbs: everything that a person or an agent can ask of a session, each in one row.

`verbs.VERBS` is the table and `verbs.verb(name)` returns one row. A row has a name, a help text, its arguments
(`arguments.Argument`), the intent that it sends, the reason why it does not apply, its cost, and the sentence for when
it is done:

    approve = verb("approve")
    given = {"wave": "w007", "trust": False}
    approve.applies(state, given, now)     # "" or one sentence on why it does not apply
    approve.cost(state, given, now)        # "" or the question to ask first, with the dollars if there are any
    approve.intent(state, given, now)      # the intent to send; raises BadArgument with one sentence
    approve.done(given, state)             # "w007 is approved"

The screen adds keys and places to a row, the command line flags. The tools of agents take the names, the patterns and
the help of the arguments they share with a verb. `values` reads typed text: a level, a factor, a number. `drafts` makes
and edits the draft of a wave. Everything here is pure.
"""
