/* drop.pml: two files that are dropped under one name, one after the other, and two
 * processes that adopt them, each of which may be suspended or die between any two calls.
 *
 * Models: spool/FORMAT.md section 7, section 5 (Put), section 11
 * Code: spool/drop.go (adopt, takeDrop, nameDrop, publishDrop, setDropAside), spool/owndrop.go (ownDrop), spool/reserve.go (bindUnless, freeIfStale, free, holds)
 *
 * A file has one name at a time beside the binding: that under which it was dropped, one
 * that an adopter has given it, or that of a job. A rename is one step and fails if the
 * name is not there. The hostile rule: an adopter takes a file from another at any moment,
 * not only after 5 minutes. The producer uses the name again as soon as it is free, and a
 * person removes jobs. The search for the job of a stale binding is exact: that it is no
 * snapshot is made up for by the ctime of the file, which must not have changed.
 * Left out: when a file counts as written; lost replies; files with several names by ln(1);
 * copyDrop, which relies on nobody taking a drop in the moment between two of its calls;
 * power cuts (powercut.pml).
 *
 * Variant STEM: the documents name no id: it is made of the name, with a number if need be.
 * Variant CHOSEN: both documents name the same id.
 *
 * Property onejob: no file becomes a job twice.
 * Property unique: no two jobs have one id.
 * Property judged: what is adopted or rejected is the file that was read.
 * Property rightly: no file is rejected but for an id that it names and another has.
 *
 * Mutant NOTOWN breaks judged CHOSEN: an adopter acts on the name under which it found the file.
 * Mutant NOLOOK breaks judged STEM: it does not look which file it has made its own.
 * Mutant TWOSTEPS breaks onejob STEM: a file gets a job's name though it has moved on.
 * Mutant LOOKTHENLINK breaks unique CHOSEN: an id is looked for and then taken.
 * Mutant JOBSONLY breaks unique CHOSEN: the binding of a drop that is no job yet counts as stale.
 * Mutant MINETAKEN breaks rightly STEM: a file to which the id was bound before counts as its other holder.
 */
#define ROUNDS 2

/* The name of each file: these, or FIRST and more for those that adopters give. */
#define NOTYET 0
#define DROPPED 1
#define JOB 2
#define REMOVED 3
#define REJECTED 4
#define FIRST 5
#define given(x, n) (FIRST + (x) * (ROUNDS + 1) + (n))
#define isdrop(n) ((n) == DROPPED || (n) >= FIRST)
#ifdef CHOSEN
#define IDS 1
#else
#define IDS 3
#endif

byte name[3] = NOTYET; /* of files 1 and 2 */
byte job[3] = IDS;     /* the id of the job that it is */
byte bound[4] = 0;     /* the file to which an id is bound */
bool locked = false;

/* Of the proof alone. */
byte became[3];
bool mixed = false, wrongly = false;

/* The file that has a name, in f. */
inline find(n) {
	f = (name[1] == (n) -> 1 : (name[2] == (n) -> 2 : 0))
}

proctype Adopter(byte x) {
	byte round = 0, read = 0, at = 0, own = 0, f = 0, id = 0;
	bool made = false, seen = false;
next:
	atomic {
		read = 0;
		at = 0;
		own = 0;
		f = 0;
		id = 0;
		made = false;
		seen = false
	};
	if
	:: round == ROUNDS -> goto end
	:: atomic { round < ROUNDS && isdrop(name[1]) -> read = 1; at = name[1] }
	:: atomic { round < ROUNDS && isdrop(name[2]) -> read = 2; at = name[2] }
	:: goto end /* killed, or nothing to do */
	fi;
	round++;
	/* Make it one's own. */
#ifdef NOTOWN
	own = at;
#else
	if
	:: at >= given(x, 0) && at <= given(x, ROUNDS) -> own = at
	:: else ->
		atomic {
			own = given(x, round);
			find(at);
			if
			:: f == 0 -> goto next
			:: else -> name[f] = own
			fi;
			f = 0
		}
	fi;
#ifndef NOLOOK
	atomic {
		find(own);
		if
		:: f != read -> goto next /* another, or gone: judged anew under its name */
		:: else -> f = 0
		fi
	};
#endif
#endif
bind:
#ifdef LOOKTHENLINK
	seen = (bound[id] == 0);
#endif
	atomic {
		find(own);
		if
		:: f == 0 -> goto next /* ENOENT */
		:: else
		fi;
#ifdef LOOKTHENLINK
		if
		:: seen -> bound[id] = f; made = true; f = 0; goto publish
		:: else
		fi;
#endif
		if
		:: bound[id] == 0 -> bound[id] = f; made = true; f = 0; goto publish
		:: bound[id] == f -> made = false; f = 0;
#ifdef MINETAKEN
			goto taken
#else
			goto already
#endif
		:: else -> f = 0
		fi
	};
	if
	:: id > 0 -> goto taken /* only the first id is worth a search */
	:: else
	fi;
	atomic { !locked ->
		if
#ifdef JOBSONLY
		:: bound[id] != 0 && name[bound[id]] != JOB -> bound[id] = 0; goto bind
#else
		:: bound[id] != 0 && (name[bound[id]] == REMOVED || name[bound[id]] == REJECTED) -> bound[id] = 0; goto bind
#endif
		:: bound[id] == 0 -> goto bind
		:: else
		fi
	};
taken:
	atomic {
		id++;
		if
		:: id < IDS -> goto bind
		:: else -> id = IDS - 1
		fi
	};
	goto aside;
already:
	/* Bound to this file before: a search, under the lock, which is kept to the end. */
	atomic { !locked -> locked = true };
	if
	:: atomic { job[1] == id && name[1] == JOB || job[2] == id && name[2] == JOB -> locked = false };
		goto aside
	:: else ->
		if
		:: true
		:: atomic { true -> locked = false }; goto end /* killed: the kernel lets go */
		fi
	fi;
publish:
#ifdef TWOSTEPS
	seen = (name[read] == own);
#endif
	atomic {
		find(own);
#ifdef TWOSTEPS
		if
		:: seen -> f = read
		:: else
		fi;
#endif
		if
		:: f > 0 ->
			mixed = mixed || f != read;
			name[f] = JOB;
			job[f] = id;
			became[f]++
		:: else
		fi;
		f = 0;
		locked = (made -> locked : false)
	};
	goto next;
aside:
	atomic {
		find(own);
		if
		:: f > 0 ->
			mixed = mixed || f != read;
#ifdef CHOSEN
			wrongly = wrongly || bound[0] == f;
#else
			wrongly = true;
#endif
			name[f] = REJECTED
		:: else
		fi;
		f = 0
	};
	goto next;
end:
	skip
}

active proctype Producer() {
	name[1] = DROPPED;
	atomic { name[1] != DROPPED && name[2] != DROPPED -> name[2] = DROPPED }
}

active proctype Person() {
	do
	:: atomic { name[1] == JOB -> name[1] = REMOVED; job[1] = IDS }
	:: atomic { name[2] == JOB -> name[2] = REMOVED; job[2] = IDS }
	:: break
	od
}

init {
	atomic {
		name[1] == DROPPED ->
		run Adopter(0);
		run Adopter(1)
	}
}

#define p_onejob (became[1] <= 1 && became[2] <= 1)
#define p_unique (name[1] != JOB || name[2] != JOB || job[1] != job[2])
#define p_judged (!mixed)
#define p_rightly (!wrongly)

ltl safe { [] (p_onejob && p_unique && p_judged && p_rightly) }
ltl onejob { [] p_onejob }
ltl unique { [] p_unique }
ltl judged { [] p_judged }
ltl rightly { [] p_rightly }
