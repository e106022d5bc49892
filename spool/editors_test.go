package spool

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// This file has the explored encounters of those who edit a job with whom they meet, and
// with those who finish what they take for abandoned.

// said is what editors were told about the documents that they brought.
type said struct {
	replaced bool            // one was told that it has
	kept     map[string]bool // documents whose editors were told that they have not
}

// editor gives the job that is there at the start another document.
func editor(name, document string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		p.hours.Store(idsDir+"/"+bucket("job"), true)
		n := w.theJob()
		e := Entry{Name: n, State: Pending, Path: pendingDir + "/" + n.String()}
		_, err := p.Edit(e, n, []byte(document))
		w.told(document, err)
	}}
}

// told notes what an editor is told.
func (w *world) told(document string, err error) {
	switch {
	case err == nil:
		w.said.replaced = true
	case !errors.Is(err, ErrUncertain):
		if w.said.kept == nil {
			w.said.kept = map[string]bool{}
		}
		w.said.kept[document] = true
	}
}

// waker is the editor of an edit abandoned at step 1, which was only suspended.
func waker() proc {
	return proc{name: "editor", run: func(w *world, p *process) {
		n := w.theJob()
		e := Entry{Name: n, State: Pending, Path: pendingDir + "/" + n.String()}
		n.Changed++
		x := &editing{s: p.Spool, e: e, to: Entry{Name: n, State: Pending, Path: pendingDir + "/" + n.String()}, dir: abandonedDir, fresh: w.fresh}
		w.told(newDocument, x.commit())
	}}
}

// recoverer takes every edit for abandoned.
func recoverer(name string) proc {
	return proc{name: name, run: func(_ *world, p *process) {
		p.hours.Store(idsDir+"/"+bucket("job"), true)
		for range 2 {
			if _, err := p.RecoverEdits(-time.Hour); err == nil {
				return
			}
		}
	}}
}

// changer holds the job that is there at the start, as a user does: with no second try.
func changer(name string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		n := w.theJob()
		e, err := p.Hold(Entry{Name: n, State: Pending, Path: pendingDir + "/" + n.String()})
		if err == nil {
			_, _ = p.Release(e)
		}
	}}
}

const (
	oldDocument = `{"command":"true"}` // what seed writes
	newDocument = `{"command":"edited"}`
)

// editable is the job, waiting, in a spool in which edits are made.
func editable(w *world) {
	waiting(w)
	if err := os.Mkdir(w.abs("spool/"+editingDir), 0o700); err != nil {
		panic(err)
	}
}

// truthful judges what became of the documents, once all is worked off.
func (s said) truthful(w *world) {
	at := w.where("job")
	if len(at) != 1 {
		return // that is told already
	}
	data, err := os.ReadFile(w.abs("spool/" + at[0]))
	switch {
	case err != nil:
		w.fail("%v", err)
	case s.replaced && string(data) == oldDocument:
		w.fail("an editor was told that it has replaced the document, and it has not: %v", at)
	case s.kept[string(data)]:
		w.fail("an editor was told that it has not replaced the document, and it has: %v", at)
	}
}

var abandonedDir = editingDir + "/" + fakeWID(9) + "-1"

// abandoned is an edit whose editor died: before it took the job out (0), before it bound
// the id (1), after that (2), and after it unlinked the old file (3).
func abandoned(step int) func(w *world) {
	return func(w *world) {
		editable(w)
		n := w.theJob()
		was := n.String()
		n.Changed++
		dir := abandonedDir
		fresh := dir + "/" + newPrefix + n.String()
		w.write(dir+"/"+bindFile, newDocument)
		do := func(err error) {
			if err != nil {
				panic(err)
			}
		}
		abs := func(rel string) string { return w.abs("spool/" + rel) }
		do(os.Link(abs(dir+"/"+bindFile), abs(fresh)))
		var err error
		w.fresh, err = realOps().look(abs(dir), bindFile)
		do(err)
		old := dir + "/" + oldPrefix + was
		if step > 0 {
			do(os.Rename(abs(pendingDir+"/"+was), abs(old)))
		}
		if step > 1 {
			do(os.Rename(abs(dir+"/"+bindFile), abs(idsDir+"/"+bucket("job")+"/job"+suffix)))
			w.said.replaced = true // nobody can say anything else any more
		} else {
			w.said.kept = map[string]bool{}
		}
		if step > 2 {
			do(os.Remove(abs(old)))
		}
	}
}

// edits are the encounters.
func edits(network bool) (all []scenario) {
	another := `{"command":"edited by another"}`
	all = []scenario{
		{name: "an editor and a worker", setup: editable,
			procs: []proc{editor("editor", newDocument), second(otherWID, 2, "done")}},
		{name: "an editor and who takes it for dead", setup: editable,
			procs: []proc{editor("editor", newDocument), recoverer("recoverer")}},
		{name: "two editors", setup: editable,
			procs: []proc{editor("editor 1", newDocument), editor("editor 2", another)}},
		{name: "an editor and a hold", setup: editable,
			procs: []proc{editor("editor", newDocument), changer("changer")}},
		{name: "an editor and a putter of the same id", setup: editable,
			procs: []proc{editor("editor", newDocument), putter("putter", "job", true, 0)}},
		{name: "an editor, who takes it for dead, and a worker", setup: editable,
			procs: []proc{editor("editor", newDocument), recoverer("recoverer"), second(otherWID, 1, "done")}},
		{name: "two editors, and who takes them for dead", setup: editable,
			procs: []proc{editor("editor 1", newDocument), editor("editor 2", another), recoverer("recoverer")}},
	}
	for step := range 4 {
		all = append(all, scenario{name: fmt.Sprintf("two that finish an edit abandoned at step %d, and a worker", step), setup: abandoned(step),
			procs: []proc{recoverer("recoverer 1"), recoverer("recoverer 2"), second(otherWID, 1, "done")}})
	}
	for step := range 4 {
		all = append(all, scenario{name: fmt.Sprintf("who finishes an edit abandoned at step %d, and a putter of its id", step), setup: abandoned(step),
			procs: []proc{recoverer("recoverer"), putter("putter", "job", true, 0)}})
	}
	all = append(all,
		scenario{name: "an editor that wakes up, who finishes its edit, and a worker", setup: abandoned(1),
			procs: []proc{waker(), recoverer("recoverer"), second(otherWID, 1, "done")}},
		scenario{name: "an editor that wakes up, and two that finish its edit", setup: abandoned(1),
			procs: []proc{waker(), recoverer("recoverer 1"), recoverer("recoverer 2")}},
		scenario{name: "an editor that wakes up, who finishes its edit, and a putter of its id", setup: abandoned(1),
			procs: []proc{waker(), recoverer("recoverer"), putter("putter", "job", true, 0)}})
	for i := range all {
		all[i].network = network
	}
	return all
}
