package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// A named queue is a spool of its own, SPOOL/queues/NAME. Only this file spells that.
const queuesDir = "queues"

// DefaultQueue is the name of the queue that the spool itself is.
const DefaultQueue = "default"

// maxQueueName leaves room for a prefix in a host's or a cgroup's name, which end at 64.
const maxQueueName = 63

// Errors of named queues.
var (
	ErrInvalidQueue = errors.New("not a queue's name")
	ErrQueueInUse   = errors.New("the queue is in use")
)

// ValidateQueue refuses what cannot be the name of a queue. The error wraps
// ErrInvalidQueue.
func ValidateQueue(name string) error {
	var problem string
	switch {
	case name == "":
		problem = "it is empty"
	case len(name) > maxQueueName:
		problem = fmt.Sprintf("it is %d bytes long, %d is the limit", len(name), maxQueueName)
	case strings.ContainsRune("._-", rune(name[0])):
		problem = "it must begin with a letter or a digit"
	case strings.ContainsFunc(name, notInQueueName):
		problem = "it may have a-z, 0-9, dots, underscores and hyphens"
	default:
		return nil
	}
	return fmt.Errorf("%w: %q: %s", ErrInvalidQueue, name, problem)
}

func notInQueueName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
}

// QueueDir is the directory of a queue of the spool in dir. The name must be valid.
func QueueDir(dir, name string) string {
	if name == DefaultQueue {
		return dir
	}
	return filepath.Join(dir, queuesDir, name)
}

// queueOf tells which queue of which spool the absolute path dir is. What lies in a
// directory queues/ that is not a spool's is no named queue.
func queueOf(dir string, o ops) (root, name string) {
	name = filepath.Base(dir)
	queues := filepath.Dir(dir)
	if filepath.Base(queues) != queuesDir || ValidateQueue(name) != nil {
		return dir, DefaultQueue
	}
	root = filepath.Dir(queues)
	// A member of the queue's group alone may pass the spool's directory, not read it.
	if _, err := o.look(root, formatFile); errors.Is(err, fs.ErrNotExist) {
		return dir, DefaultQueue
	}
	return root, name
}

// QueueOf tells which queue of which spool the directory dir is: dir itself and
// DefaultQueue if it is no named queue, or nothing yet.
func QueueOf(dir string) (root, name string) { return queueOf(dir, realOps()) }

// Queue is the name of the queue that this spool is: DefaultQueue if it is no named one.
func (s *Spool) Queue() string { return s.queue }

// Root is the directory of the spool that this one is a queue of; its own if it is none.
func (s *Spool) Root() string { return s.root }

// OpenQueue opens a queue of the spool in dir. The error wraps fs.ErrNotExist if there
// is no such queue, ErrInvalidQueue if there can be none.
func OpenQueue(dir, name string) (*Spool, error) { return openQueue(dir, name, realOps()) }

func openQueue(dir, name string, o ops) (*Spool, error) {
	if name == DefaultQueue {
		return open(dir, o)
	}
	if err := ValidateQueue(name); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	if err := noQueueWithin(dir, o); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	// A link could lead to a spool of somebody who may not write here.
	in, err := o.look(filepath.Join(dir, queuesDir), name)
	if err != nil {
		return nil, fmt.Errorf("open queue %s: %w", name, err)
	}
	if !in.mode.IsDir() {
		return nil, fmt.Errorf("open queue %s: %w: it is a %s", name, ErrNotSpool, kindName(in.mode))
	}
	return open(QueueDir(dir, name), o)
}

// noQueueWithin refuses the named queue dir as a spool with named queues.
func noQueueWithin(dir string, o ops) error {
	if root, queue := queueOf(dir, o); queue != DefaultQueue {
		return fmt.Errorf("%w: %s is the queue %s of %s, and a queue has no queues of its own", ErrInvalidQueue, dir, queue, root)
	}
	return nil
}

// InitQueue makes a queue of the spool in dir, and that spool if it is not there, and
// opens it. Without a group it is for those whom the spool is for. One that is there
// already is completed, if its making or its removal was cut short, and opened.
func InitQueue(dir, name, group string) (*Spool, error) {
	return initQueue(dir, name, group, realOps())
}

func initQueue(dir, name, group string, o ops) (*Spool, error) {
	if name == DefaultQueue {
		return initialise(dir, group, o)
	}
	if err := ValidateQueue(name); err != nil {
		return nil, err
	}
	root, err := open(dir, o)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = initialise(dir, "", o)
	}
	if err == nil {
		err = noQueueWithin(root.dir, o)
	}
	if err != nil {
		return nil, fmt.Errorf("make queue %s: %w", name, err)
	}
	if s, err := openQueue(root.dir, name, o); err == nil {
		if group != "" && s.format.Group != group {
			return nil, fmt.Errorf("make queue %s: it is there already, and not for group %s", name, group)
		}
		err := s.complete()
		return s, err
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if group == "" {
		group = root.format.Group
	}
	if err := root.ops.mkdir(root.abs(queuesDir), root.dirPerm()); err == nil {
		// What is synced into a directory that is itself not on the disk is lost.
		err = root.Sync(".")
		if err != nil {
			return nil, fmt.Errorf("make queue %s: %w", name, err)
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make queue %s: %w", name, err)
	}
	return initialise(QueueDir(root.dir, name), group, o)
}

// Whole is false for a queue whose removal was cut short: InitQueue completes it.
func (s *Spool) Whole() bool {
	_, err := s.ops.look(s.abs(pendingDir), path.Base(laterDir)) // the first to go
	return !errors.Is(err, fs.ErrNotExist)
}

// complete makes what a removal that was cut short has taken away. Whoever makes a
// directory while another removes it does no harm: only empty ones are removed.
func (s *Spool) complete() error {
	for _, d := range skeleton {
		err := s.ops.mkdir(s.abs(d), s.dirPerm())
		if err == nil {
			err = s.Sync(path.Dir(d))
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("complete queue %s: %w", s.queue, err)
		}
	}
	return nil
}

// Queues lists the named queues of the spool in dir by name. What lies there and is no
// spool is left out; check names it. The error wraps fs.ErrNotExist if there is no spool.
func Queues(dir string) ([]string, error) {
	s, err := Open(dir)
	if err != nil {
		return nil, err
	}
	return s.Queues()
}

// Queues lists this spool's named queues by name.
func (s *Spool) Queues() (names []string, err error) {
	err = s.ops.names(s.abs(queuesDir), func(name string) error {
		if ValidateQueue(name) != nil || name == DefaultQueue {
			return nil
		}
		in, err := s.ops.look(s.abs(queuesDir), name)
		if err == nil && in.mode.IsDir() {
			if _, err = s.ops.look(s.abs(queuesDir+"/"+name), formatFile); err == nil {
				names = append(names, name)
			}
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil // a queue of others is none for this user
		}
		return ignoreNotExist(err)
	})
	if err = ignoreNotExist(err); err != nil {
		return nil, fmt.Errorf("list the queues of %s: %w", s.dir, err)
	}
	slices.Sort(names)
	return names, nil
}

// QueuesWatch tells that the spool's queues may have changed. It is a hint, and a nil one
// never tells.
type QueuesWatch struct {
	w       *fsnotify.Watcher
	changed chan struct{}
	done    chan struct{}
}

// WatchQueues watches for queues that are made in the spool in dir. The error is no
// reason to stop: looking now and then works too.
func WatchQueues(dir string) (*QueuesWatch, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the queues of %s: %w", dir, err)
	}
	queues := filepath.Join(dir, queuesDir)
	// The directory itself may come later, with the first queue.
	err = w.Add(dir)
	if addErr := w.Add(queues); err == nil && !errors.Is(addErr, fs.ErrNotExist) {
		err = addErr
	}
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("watch the queues of %s: %w", dir, err)
	}
	x := &QueuesWatch{w: w, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go x.run(queues)
	return x, nil
}

func (x *QueuesWatch) run(queues string) {
	defer close(x.done)
	for {
		select {
		case ev, ok := <-x.w.Events:
			if !ok {
				return
			}
			if ev.Name == queues && ev.Has(fsnotify.Create) {
				_ = x.w.Add(queues) // else whoever looks now and then finds out
			}
			if !strings.HasPrefix(ev.Name, queues) || !ev.Has(fsnotify.Create) {
				continue
			}
		case _, ok := <-x.w.Errors:
			if !ok {
				return
			}
		}
		select {
		case x.changed <- struct{}{}:
		default:
		}
	}
}

// Changed receives when there may be a new queue. It may not be complete yet.
func (x *QueuesWatch) Changed() <-chan struct{} {
	if x == nil {
		return nil
	}
	return x.changed
}

// Close ends the watch.
func (x *QueuesWatch) Close() {
	if x != nil {
		_ = x.w.Close()
		<-x.done
	}
}
