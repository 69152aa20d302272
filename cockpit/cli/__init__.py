"""The commands' work. `cockpit.cli.main` says what they are called; these do them."""
