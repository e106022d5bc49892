package main

import _ "embed"

// jsonDocument says what each command prints with --json. A test writes it from the Go
// types, and compares it with what the commands really print.
//
//go:embed JSON.md
var jsonDocument string
