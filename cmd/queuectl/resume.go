package main

import "context"

func newResume(a *app) *command {
	return &command{
		name:  "resume",
		short: "Let workers take jobs again after a pause",
		also:  []string{"unpause"},
		examples: []example{
			{"End a pause", "queuectl resume"},
			{"Was there one", "queuectl resume --json | jq .resumed"},
		},
		exits: []exitStatus{{exitOK, "jobs are taken, whether there was a pause or not"}},
		run: func(_ context.Context, _ []string) error {
			q, err := a.orEmpty()
			if err != nil {
				return err
			}
			was := false
			if q != nil {
				if was, err = q.Resume(); err != nil {
					return err
				}
			}
			if a.json {
				return a.out.json(struct {
					Resumed bool `json:"resumed"`
				}{was})
			}
			if was {
				a.note("resumed")
			} else {
				a.note("it was not paused")
			}
			return nil
		},
	}
}
