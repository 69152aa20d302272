"""The commands in groups: names, flags and help. A command's work is imported when it runs, so that it starts fast."""
