package main

import (
	"context"
	"errors"
	"os/user"

	"github.com/queuectl/queuectl/fsq"
)

func newInit(a *app) *command {
	var group string
	c := &command{
		name:  "init",
		short: "Make a spool",
		long: `Any command that writes makes the spool on first use, for its user alone (mode
0700). This one makes it on purpose, or for a group (setgid, mode 2770). A spool that
is there already is left as it is. Prints the directory.`,
		examples: []example{
			{"A spool of your own", "queuectl init --spool ~/jobs"},
			{"A spool that everybody in group batch may use", "queuectl init --spool /srv/jobs --group batch"},
		},
		exits:        []exitStatus{{exitNotFound, "the directory has something else in it"}},
		flags:        newFlagSet(),
		ignoreConfig: true,
		run: func(_ context.Context, _ []string) error {
			q, err := fsq.InitQueue(a.spool, a.queueName(), group)
			if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) {
				return usagef("--group: there is no group %s", clean(group))
			}
			if err != nil {
				return err
			}
			if group != "" {
				a.hint("a worker runs only its own user's jobs, and root's; for those of all members: queuectl config set trust-group true")
			}
			if a.json {
				return a.out.json(struct {
					Spool string `json:"spool"`
				}{q.Dir()})
			}
			a.out.printf("%s\n", clean(q.Dir()))
			return nil
		},
	}
	stringFlag(c.flags, &group, "group", "GROUP", "share the spool with this group")
	return c
}
