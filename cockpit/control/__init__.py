"""Verbs: everything a person or an agent can ask of a session, each in one row.

`verbs.VERBS` is the table, `verbs.verb(name)` one row. A row knows its name, its help, its arguments
(`arguments.Argument`), the intent it sends, when it applies, its cost and the sentence for when it is done:

    approve = verb("approve")
    given = {"wave": "w007", "trust": False}
    approve.applies(state, given)          # "" or one sentence: why it does not apply
    approve.cost(state, given, now)        # "" or the question to ask first, with the dollars where there are any
    approve.intent(state, given, now)      # the intent to send; raises BadArgument with one sentence
    approve.done(given)                    # "w007 is approved"

The screen adds keys and places, the command line flags, the MCP server schemas. `values` reads what is typed: a level,
a factor, a number. `drafts` makes and edits the draft of a wave. All of it is pure.
"""
