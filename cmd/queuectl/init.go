package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"os/user"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

func newInit(a *app) *command {
	var group, dropFrom string
	c := &command{
		name:  "init",
		short: "Make a spool",
		long: `Any command that writes makes the spool on first use, for its user alone (mode
0700). This one makes it on purpose, or for a group (setgid, mode 2770). A spool that
is there already is left as it is. Prints the directory.

With --drop-from root lets other users have jobs run as themselves: each gets a directory,
drop/USER, where he alone can put files; worker start --run-as-owner runs them as him.
The spool must be root's. Can be repeated for further users.`,
		examples: []example{
			{"A spool of your own", "queuectl init --spool ~/jobs"},
			{"A spool that everybody in group batch may use", "queuectl init --spool /srv/jobs --group batch"},
			{"As root, one into which ann and bob drop jobs that run as them", "queuectl init --spool /var/spool/queuectl --drop-from ann,bob"},
		},
		exits:        []exitStatus{{exitNotFound, "the directory has something else in it"}},
		flags:        newFlagSet(),
		ignoreConfig: true,
		run:          func(_ context.Context, _ []string) error { return a.initSpool(group, dropFrom) },
	}
	stringFlag(c.flags, &group, "group", "GROUP", "share the spool with this group")
	dropFromFlag(c.flags, &dropFrom)
	return c
}

func dropFromFlag(flags *flag.FlagSet, users *string) {
	stringFlag(flags, users, "drop-from", "USERS", "as root, make a directory for each of these users, with commas between, whose jobs are to run as them")
}

func (a *app) initSpool(group, dropFrom string) error {
	users, err := userList(dropFrom)
	if err != nil {
		return err
	}
	if group != "" && len(users) > 0 {
		return usagef("--drop-from: a group's spool runs nobody's jobs as himself; leave --group out")
	}
	q, err := fsq.InitQueue(a.spool, a.queueName(), group)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
		return usagef("--group: there is no group %s", clean(group))
	}
	if err != nil {
		return err
	}
	boxes := []string{}
	for _, name := range users {
		box, err := q.MakeBox(name)
		if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
			return usagef("--drop-from: there is no user %s", clean(name))
		}
		if errors.Is(err, fs.ErrInvalid) {
			return &usageError{"--drop-from: " + clean(name) + " has no files of his own to drop", "root enqueues, or drops files into pending/"}
		}
		if err != nil {
			return err
		}
		boxes = append(boxes, box)
	}
	if group != "" {
		a.hint("a worker runs only its own user's jobs, and root's; for those of all members: queuectl config set trust-group true")
	}
	if len(boxes) > 0 {
		a.hint("each of them drops jobs there, cp job.json %s/; queuectl worker start --run-as-owner runs them", clean(boxes[0]))
	}
	if a.json {
		return a.out.json(struct {
			Spool string   `json:"spool"`
			Boxes []string `json:"boxes"`
		}{q.Dir(), boxes})
	}
	a.out.printf("%s\n", clean(q.Dir()))
	for _, box := range boxes {
		a.out.printf("%s\n", clean(box))
	}
	return nil
}

// userList reads names with commas between.
func userList(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	users := strings.Split(list, ",")
	for i, name := range users {
		if users[i] = strings.TrimSpace(name); users[i] == "" {
			return nil, usagef("--drop-from: a name is missing in %s", clean(list))
		}
	}
	return users, nil
}
