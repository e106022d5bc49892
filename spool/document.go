package spool

import _ "embed"

// FormatDocument is FORMAT.md, the normative description of a spool, in Markdown.
//
//go:embed FORMAT.md
var FormatDocument string
