"""The commands: `cockpit.cli.commands` has their names and flags, these modules carry them out."""
