package main

// failures collects what went wrong while a command went on with the rest.
type failures struct {
	codes []int
}

// add reports err at once, so that it stands where it happened.
func (f *failures) add(a *app, err error) {
	a.report(err)
	f.codes = append(f.codes, exitCode(err))
}

// err is nil if nothing failed. The exit status is the common one of all failures,
// or the general one if they differ.
func (f *failures) err() error {
	if len(f.codes) == 0 {
		return nil
	}
	for _, c := range f.codes {
		if c != f.codes[0] {
			return &reported{exitFailed}
		}
	}
	return &reported{f.codes[0]}
}
