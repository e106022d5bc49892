package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/queuectl/queuectl/fsq"
)

// queueUse is what --queue may be for a command.
type queueUse int

const (
	oneQueue  queueUse = iota // a name
	someQueue                 // names with commas between, or *
	sharedOut                 // the same, and each with the number of its shares
)

// everyQueue selects all queues, also those that are made later where that matters.
const everyQueue = "*"

// queueChoice is one word of --queue.
type queueChoice struct {
	name  string // of a queue, or everyQueue
	share int    // 0: not given
}

// parseQueues reads the value of --queue.
func parseQueues(s string, use queueUse) ([]queueChoice, error) {
	var list []queueChoice
	seen := make(map[string]bool)
	for _, word := range strings.Split(s, ",") {
		name, number, shared := strings.Cut(strings.TrimSpace(word), "=")
		c := queueChoice{name: name}
		switch {
		case name == everyQueue && use == oneQueue:
			return nil, errors.New("takes one queue here, not all")
		case name != everyQueue:
			if err := fsq.ValidateQueue(name); err != nil {
				return nil, err
			}
		}
		if seen[name] {
			return nil, fmt.Errorf("names %q twice", name)
		}
		seen[name] = true
		if shared {
			if use != sharedOut {
				return nil, fmt.Errorf("takes names here, not %q", word)
			}
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("must give %q a whole number from 1 up, not %q", name, number)
			}
			c.share = n
		}
		list = append(list, c)
	}
	if use == oneQueue && len(list) > 1 {
		return nil, fmt.Errorf("takes one queue here, not %d", len(list))
	}
	unnumbered := slices.IndexFunc(list, func(c queueChoice) bool { return c.share == 0 })
	if slices.ContainsFunc(list, func(c queueChoice) bool { return c.share > 0 }) && unnumbered >= 0 {
		return nil, fmt.Errorf("must give all queues a number or none; %q has none", list[unnumbered].name)
	}
	return list, nil
}

// chooseQueues takes in --queue. A spool that is itself a queue of another is taken for
// what it is, so that both ways of naming it mean the same.
func (a *app) chooseQueues(use queueUse, explicit bool) error {
	root, inner := fsq.QueueOf(a.spool)
	if inner != fsq.DefaultQueue {
		switch {
		case a.queue == "" || !explicit || a.queue == inner:
			a.spool, a.queue = root, inner
		default:
			return &usageError{
				problem: fmt.Sprintf("--queue: %s is the queue %s, and a queue has no queues of its own", clean(a.spool), inner),
				hint:    "--spool " + shellQuote(root) + " is the spool that it belongs to",
			}
		}
	}
	if a.queue == "" {
		a.chosen = []queueChoice{{name: fsq.DefaultQueue}}
		return nil
	}
	var err error
	if a.chosen, err = parseQueues(a.queue, use); err != nil {
		where := "--queue"
		if !explicit {
			where = envName("queue")
		}
		return usagef("%s: %v", where, err)
	}
	return nil
}

// queueName is the selected queue of a command that works on one.
func (a *app) queueName() string { return a.chosen[0].name }

// manyQueues reports whether more than one queue may be shown, so that what is shown has
// to say of which it is.
func (a *app) manyQueues() bool { return len(a.chosen) > 1 || a.chosen[0].name == everyQueue }

// names are the selected queues, those that are there for *.
func (a *app) queueNames() ([]string, error) {
	var names []string
	for _, c := range a.chosen {
		if c.name != everyQueue {
			names = append(names, c.name)
			continue
		}
		all, err := fsq.QueueNames(a.spool)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &noSpool{a.spool}
		}
		if err != nil {
			return nil, err
		}
		for _, name := range all {
			if !slices.ContainsFunc(a.chosen, func(c queueChoice) bool { return c.name == name }) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// queues opens the selected queues, each with its own settings. The error is a noSpool
// or a noQueue if one is not there.
func (a *app) queues() ([]*fsq.Queue, error) {
	names, err := a.queueNames()
	if err != nil {
		return nil, err
	}
	var all []*fsq.Queue
	for _, name := range names {
		q, err := a.existingQueue(name)
		if missing := (*noQueue)(nil); errors.As(err, &missing) && a.chosen[0].name == everyQueue {
			continue // removed just now
		}
		if err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	return all, nil
}

// queuesOrNone is queues for a command to which no spool is an empty one.
func (a *app) queuesOrNone() ([]*fsq.Queue, error) {
	qs, err := a.queues()
	if missing := (*noSpool)(nil); errors.As(err, &missing) {
		a.hint("%s yet; queuectl enqueue makes it", missing)
		return nil, nil
	}
	return qs, err
}

// openQueue opens a queue and makes it if it is not there.
func (a *app) openQueue(name string) (*fsq.Queue, error) {
	cfg, err := a.configOf(name)
	if err != nil {
		return nil, err
	}
	q, err := fsq.OpenQueue(a.spool, name, cfg)
	return q, a.boxed(name, err)
}

// existingQueue opens a queue if it is there.
func (a *app) existingQueue(name string) (*fsq.Queue, error) {
	cfg, err := a.configOf(name)
	if err != nil {
		return nil, err
	}
	q, err := fsq.OpenExistingQueue(a.spool, name, cfg)
	if !errors.Is(err, fs.ErrNotExist) {
		return q, err
	}
	known, listErr := fsq.QueueNames(a.spool)
	if errors.Is(listErr, fs.ErrNotExist) || name == fsq.DefaultQueue {
		return nil, &noSpool{a.spool}
	}
	return nil, &noQueue{name, fsq.Nearest(name, known)}
}

// noQueue says that there is no queue of that name.
type noQueue struct{ name, near string }

func (e *noQueue) Error() string {
	text := "there is no queue " + e.name
	if e.near != "" {
		text += fmt.Sprintf("; did you mean %q?", e.near)
	}
	return text
}

// configOf are the settings as they hold for a queue: its own config.json comes before
// the spool's.
func (a *app) configOf(name string) (fsq.Config, error) {
	if !a.manyQueues() && name == a.queueName() {
		return a.settings.cfg, nil
	}
	s, err := a.loadSettings(name, a.settings.args)
	if err != nil {
		return fsq.Config{}, err
	}
	return s.cfg, nil
}

// loadSettings reads the settings as they hold for a queue, as far as the command wants
// to know what the files say.
func (a *app) loadSettings(name string, args []string) (*settings, error) {
	if a.cmd.ignoreConfig {
		s := newSettings()
		err := s.parse(args)
		return s, err
	}
	s, err := a.readSettings(name, args)
	if broken := (*configError)(nil); a.cmd.withoutConfig && errors.As(err, &broken) {
		s = newSettings()
		err = s.parse(args)
	}
	for _, u := range s.untrusted {
		if slices.Contains(a.cmd.settings, u.key) {
			a.warn("%s in %s does not count: others than you and root may have set it", u.key, clean(u.path))
		}
	}
	return s, err
}

func (a *app) readSettings(name string, args []string) (*settings, error) {
	s := newSettings()
	err := s.parse(args, a.configFiles(name)...)
	return s, err
}

// configFiles are the files that may have settings for a queue, the first one first. A
// member of the queue's group alone cannot read the spool's; then these are not for him.
func (a *app) configFiles(name string) []configFile {
	spool := configFile{path: fsq.ConfigPath(a.spool), origin: "spool"}
	if name == fsq.DefaultQueue || name == everyQueue {
		return []configFile{spool}
	}
	own := configFile{fsq.ConfigPath(fsq.QueueDir(a.spool, name)), "queue", " --queue " + name}
	if errors.Is(unix.Access(spool.path, unix.R_OK), fs.ErrPermission) {
		return []configFile{own}
	}
	return []configFile{own, spool}
}
