"""The commands' work. `cockpit.cli` says what they are called; these do them."""
