package fsq

import "github.com/queuectl/queuectl/spool"

// FormatDocument is the normative description of the files of a spool, in Markdown.
func FormatDocument() string { return spool.FormatDocument }
