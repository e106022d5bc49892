package main

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// completeWord is the hidden command that the shells' completion scripts call, with the
// words of the command line as far as the cursor; the last one is what is to be completed.
//
// It prints on the first line what else the shell may offer (see offer), then a candidate
// on each line, with a tab and a note behind it. It is called for each press of a key: it
// never writes, makes no spool, says nothing on stderr, and its scans are bounded.
const completeWord = "__complete"

// What a completion takes at most, in candidates and in time.
const (
	maxCandidates = 200
	maxComplete   = 200 * time.Millisecond
)

// offer is what a shell may add to the candidates of its own.
type offer string

const (
	offerNothing     offer = "words"
	offerFiles       offer = "files"
	offerDirectories offer = "directories"
)

// completer works out the candidates for one word.
type completer struct {
	a        *app
	root     *command
	settings *flag.FlagSet

	cmd    *command
	args   []string // of cmd, before the word
	flags  []given
	ended  bool // "--" was there
	help   bool // the words are those of a help
	lost   bool // a word was no command
	offers offer
	found  []fsq.Candidate
}

func (a *app) complete(ctx context.Context, root *command, words []string) {
	ctx, cancel := context.WithTimeout(ctx, maxComplete)
	defer cancel()
	c := &completer{a: a, root: root, settings: a.settings.flags, cmd: root, offers: offerNothing}
	if len(words) > 0 {
		c.word(ctx, words[:len(words)-1], words[len(words)-1])
	}
	a.out.printf("%s\n", c.offers)
	for _, f := range c.found[:min(len(c.found), maxCandidates)] {
		// What a terminal would obey cannot be typed either.
		if clean(f.Word) != f.Word {
			continue
		}
		a.out.printf("%s\n", strings.TrimSuffix(f.Word+"\t"+clean(f.Note), "\t"))
	}
}

// word finds the candidates for the last word.
func (c *completer) word(ctx context.Context, before []string, last string) {
	kinds := flagKinds(c.root, c.settings)
	pending := "" // a flag whose value comes next
	for _, w := range before {
		f, hasValue, isFlag := splitFlag(w)
		if long := c.cmd.letters[f.name]; long != "" {
			f.name = long
		}
		switch {
		case pending != "":
			c.flags = append(c.flags, given{pending, w})
			pending = ""
		case c.ended || !isFlag || c.cmd.rest && len(c.args) > 0:
			c.take(w)
		case w == "--":
			c.ended = true
		case kinds[f.name] && !hasValue:
			pending = f.name
		default:
			c.flags = append(c.flags, f)
		}
	}
	f, hasValue, isFlag := splitFlag(last)
	c.ended = c.ended || c.cmd.rest && len(c.args) > 0
	switch {
	case c.lost:
	case pending != "":
		c.value(pending, last, "")
	case isFlag && hasValue && !c.ended:
		c.value(f.name, f.value, last[:len(last)-len(f.value)])
	case strings.HasPrefix(last, "-") && !c.ended:
		c.flagNames(last)
	case len(c.cmd.sub) > 0:
		c.commands(last)
	default:
		c.argument(ctx, last)
	}
}

// take is parseLine's word: a command, or an argument.
func (c *completer) take(w string) {
	switch next := c.cmd.find(w); {
	case len(c.cmd.sub) == 0:
		c.args = append(c.args, w)
	case next != nil:
		c.cmd = next
	case w == "help":
		c.help = true
	default:
		c.lost = true
	}
}

func (c *completer) add(prefix, word, note string) {
	if strings.HasPrefix(word, prefix) {
		c.found = append(c.found, fsq.Candidate{Word: word, Note: note})
	}
}

func (c *completer) commands(prefix string) {
	for _, s := range c.cmd.sub {
		c.add(prefix, s.name, s.short)
	}
	if c.cmd == c.root && !c.help {
		c.add(prefix, "help", "Show the help of a command")
	}
}

// flagNames are the flags of the command, its settings, then those of queuectl itself,
// but none that was given already.
func (c *completer) flagNames(prefix string) {
	// One dash is as good as two, and is answered in kind.
	dashes := "--"
	if !strings.HasPrefix(prefix, "--") && prefix != "-" {
		dashes = "-"
	}
	add := func(f *flag.Flag) {
		repeats := strings.Contains(f.Usage, "given again")
		if !hidden(f) && (repeats || !slices.ContainsFunc(c.flags, func(g given) bool { return g.name == f.Name })) {
			c.add(prefix, dashes+f.Name, f.Usage)
		}
	}
	c.cmd.flags.VisitAll(add)
	for _, key := range c.cmd.settings {
		add(c.settings.Lookup(key))
	}
	if c.cmd != c.root {
		c.root.flags.VisitAll(add)
	}
	c.add(prefix, dashes+"help", "show the help")
}

// value completes the value of a flag; typed is what stands before it in the same word.
func (c *completer) value(name, prefix, typed string) {
	f := c.lookup(name)
	if f == nil {
		return
	}
	v, ok := f.Value.(*value)
	if !ok || v.isBool {
		return
	}
	switch {
	case strings.Contains(v.arg, "|"):
		for w := range strings.SplitSeq(v.arg, "|") {
			c.add(prefix, w, "")
		}
	case v.arg == "STATES":
		c.list(prefix, stateWords())
	case name == "queue":
		c.queues(prefix)
	case v.arg == "SIGNAL":
		for _, w := range signalWords {
			c.add(prefix, w, "")
		}
	case v.arg == "FILE":
		c.offers = offerFiles
	case v.arg == "DIR":
		c.offers = offerDirectories
	}
	for i := range c.found {
		c.found[i].Word = typed + c.found[i].Word
	}
}

// lookup finds a flag as the command would.
func (c *completer) lookup(name string) *flag.Flag {
	if f := c.cmd.flags.Lookup(name); f != nil {
		return f
	}
	if c.cmd.hasSetting(name) {
		return c.settings.Lookup(name)
	}
	return c.root.flags.Lookup(name)
}

// signalWords are those that jobs are most often sent.
var signalWords = []string{"TERM", "INT", "HUP", "KILL", "QUIT", "STOP", "CONT", "USR1", "USR2", "WINCH", "ALRM"}

// list completes the last of several words with commas between.
func (c *completer) list(prefix string, words []string) {
	at := strings.LastIndex(prefix, ",") + 1
	given := strings.Split(prefix[:at], ",")
	for _, w := range words {
		if !slices.Contains(given, w) {
			c.add(prefix, prefix[:at]+w, "")
		}
	}
}

func (c *completer) queues(prefix string) {
	names, err := fsq.QueueNames(c.spool())
	if err != nil {
		return
	}
	if c.cmd.queues == oneQueue {
		for _, n := range names {
			c.add(prefix, n, "")
		}
		return
	}
	c.list(prefix, names)
}

// argument completes an argument by what the command calls it.
func (c *completer) argument(ctx context.Context, prefix string) {
	if c.cmd.most != anyNumber && len(c.args) >= c.cmd.most {
		return
	}
	switch name := c.argumentName(); {
	case c.help:
	case name == "ID":
		c.ids(ctx, prefix)
	case name == "WORKER":
		for _, q := range c.queuesMeant() {
			c.found = append(c.found, q.CandidateWorkers(ctx, prefix, maxCandidates)...)
		}
	case name == "KEY":
		for _, s := range fsq.Settings() {
			c.add(prefix, s.Key, s.Help)
		}
	case name == "VALUE" && isSetting(c.args[0]):
		if f := c.settings.Lookup(c.args[0]); isBool(f) {
			c.add(prefix, "true", "")
			c.add(prefix, "false", "")
		}
	case name == "NAME" && strings.HasPrefix(c.cmd.path, "queuectl queue "):
		names, _ := fsq.QueueNames(c.spool())
		for _, n := range names {
			c.add(prefix, n, "")
		}
	case name == "SHELL":
		for _, s := range shells {
			c.add(prefix, s, "")
		}
	case name == "TOPIC":
		for _, t := range c.a.manTopics(c.root) {
			c.add(prefix, t.name, t.title)
		}
	case name == "FILE" || name == "JOB" || name == "CMD" || name == "ARG":
		c.offers = offerFiles
	}
	seen := map[string]bool{} // in several queues there may be the same one
	c.found = slices.DeleteFunc(c.found, func(f fsq.Candidate) bool {
		known := seen[f.Word] || slices.Contains(c.args, f.Word)
		seen[f.Word] = true
		return known
	})
}

// argumentName is what the usage line calls the next argument, without what says how
// many there may be.
func (c *completer) argumentName() string {
	words := strings.FieldsFunc(c.cmd.args, func(r rune) bool { return strings.ContainsRune(" []…|", r) })
	if len(words) == 0 {
		return ""
	}
	return words[min(len(c.args), len(words)-1)]
}

// idStates are the states of the jobs that a command is for, by its path; nil stands for
// all. A test fails for a command that takes ids and is not among them.
var idStates = map[string][]fsq.State{
	"queuectl show":       nil,
	"queuectl explain":    nil,
	"queuectl list":       nil,
	"queuectl logs":       {fsq.Processing, fsq.Retrying, fsq.Dead, fsq.Done, fsq.Cancelled},
	"queuectl wait":       waitingOrRunning,
	"queuectl cancel":     waitingOrRunning,
	"queuectl kill":       {fsq.Processing},
	"queuectl retry":      {fsq.Dead, fsq.Cancelled},
	"queuectl delete":     {fsq.Dead, fsq.Cancelled, fsq.Done, fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held},
	"queuectl hold":       {fsq.Pending, fsq.Scheduled, fsq.Retrying},
	"queuectl release":    {fsq.Held},
	"queuectl run-now":    {fsq.Scheduled, fsq.Retrying, fsq.Held},
	"queuectl set":        waiting,
	"queuectl edit":       waiting,
	"queuectl prune":      {fsq.Dead, fsq.Cancelled, fsq.Done},
	"queuectl dlq retry":  {fsq.Dead},
	"queuectl dlq remove": {fsq.Dead},
}

var (
	waiting          = waitingStates
	waitingOrRunning = append([]fsq.State{fsq.Processing}, waiting...)
)

func (c *completer) ids(ctx context.Context, prefix string) {
	for _, q := range c.queuesMeant() {
		c.found = append(c.found, q.CandidateIDs(ctx, prefix, idStates[c.cmd.path], maxCandidates)...)
		if strings.HasPrefix(c.cmd.path, "queuectl dlq ") {
			c.found = append(c.found, q.CandidateRejects(prefix, maxCandidates)...)
		}
	}
}

// flagOr is the value of a flag of queuectl itself, as far as it was typed, else that of
// its environment variable.
func (c *completer) flagOr(name string) string {
	for _, f := range slices.Backward(c.flags) {
		if f.name == name {
			return f.value
		}
	}
	return os.Getenv(envName(name))
}

// spool is the spool that the command line is about; "" if there is none.
func (c *completer) spool() string {
	dir := c.flagOr("spool")
	if home := os.Getenv("HOME"); strings.HasPrefix(dir, "~/") && home != "" {
		dir = filepath.Join(home, dir[2:]) // the shell has not got to it yet
	}
	if dir == "" {
		var err error
		if dir, err = defaultSpool(os.Geteuid(), os.Getenv); err != nil {
			return ""
		}
	}
	return dir
}

// queuesMeant opens the queues that the command line is about, as far as they are there.
func (c *completer) queuesMeant() []*fsq.Queue {
	names := []string{fsq.DefaultQueue}
	if given := c.flagOr("queue"); given != "" {
		if choices, err := parseQueues(given, c.cmd.queues); err == nil {
			names = names[:0]
			for _, choice := range choices {
				names = append(names, choice.name)
			}
		}
	}
	if slices.Contains(names, everyQueue) {
		names, _ = fsq.QueueNames(c.spool())
	}
	var all []*fsq.Queue
	for _, name := range names {
		if q, err := fsq.OpenExistingQueue(c.spool(), name, fsq.DefaultConfig()); err == nil {
			all = append(all, q)
		}
	}
	return all
}
