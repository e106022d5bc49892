/* lease.pml: a worker, its heartbeat, and an observer on another host that takes it for
 * dead and gives its job to a worker of its own.
 *
 * Models: spool/FORMAT.md section 5 (Heartbeat, Reap, Claim, Settle), section 6, section 11
 * Code: fsq/heartbeat.go (heartbeat, beat, audit), fsq/pulse.go (silentFor), spool/census.go (Look, expired), spool/reap.go (Reap, strike), spool/lease.go (Beat, check), spool/claim.go (Claim), spool/settle.go (settle)
 *
 * Time goes in beats. Clocks run at the same rate, and nothing here reads one that another
 * host has set: the stamp of a heartbeat is only seen to have changed or not (two stamps are
 * never the same). A call to the server waits while it is not reached, as on a hard mount,
 * and its reply can come any time later. A beat begins each unit, unless one is under way.
 * The server can go away, the worker's host can be cut off, the worker can be suspended (its
 * job runs on) and can vanish; the observer may be as slow as it likes, also amid a look.
 * Assumed: a server that comes back answers the call that waits before it goes away again.
 * Left out: locks and pids, which tell sooner on one host; that a worker with claims and
 * without an entry is dead; a lost lease's new registration, which is another worker.
 *
 * Variant OUTAGES: the server goes away, twice.
 * Variant PARTITION: the worker's host is cut off, and may come back; or it vanishes.
 * Variant SUSPENSION: the worker is suspended, and may wake up; or it vanishes.
 *
 * Property beating: no worker is taken for dead that beats whenever the server lets it.
 * Property silent: none is taken for dead whose last beat is less than a lease old.
 * Property refused: a settlement of what another has by now changes nothing.
 * Property oneend: the job ends once.
 * Property alone: a job does not run at two workers, unless the first was suspended.
 * Property stops: one that wakes up stops what is not its own at its next beats.
 * Property back: once a worker is off the registry, no claim lies in its directory or comes there.
 *
 * Mutant COMPARECLOCKS breaks beating OUTAGES: the observer takes the stamp from its own time, which is ahead.
 * Mutant FAILEDLOOKS breaks beating OUTAGES: a look that fails counts too.
 * Mutant ONELOOK breaks silent PARTITION: one look without news is enough.
 * Mutant LATELOOK breaks silent PARTITION: the time of a look is taken when its answer is there.
 * Mutant LATEBEAT breaks alone PARTITION: the lease counts from the beat's answer on.
 * Mutant LATEFENCE breaks alone PARTITION: a worker stops its jobs after a whole lease.
 * Mutant HUNGBEAT breaks alone PARTITION: a beat that hangs keeps the worker from stopping its jobs.
 * Mutant NOENTRY breaks stops SUSPENSION: a beat looks neither for the entry nor for the claims.
 * Mutant CARELESS breaks refused SUSPENSION: a settlement does not mind whose claim it is.
 * Mutant NOFENCE breaks back SUSPENSION: a reaper moves what it has seen, and goes.
 */
#define LEASE 5
#define POLL 1

#ifdef LATEFENCE
#define FENCE LEASE
#else
#define FENCE (LEASE - 1) /* a beat before the observer may act */
#endif
#ifdef NOENTRY
#define LOOKS false
#else
#define LOOKS true
#endif
#define SUSPECT (LEASE * 2 / 3)
#define COUNTS (2 * POLL) /* a look, at most */

#define PENDING 0
#define FIRST 1 /* processing/, the worker's directory */
#define OTHER 2 /* processing/, that of the observer's own worker */
#define DONE 3
byte at = PENDING, attempt = 0;
bool entry = true, dir = true; /* of the worker: workers/WORKER.json, processing/WORKER */
bool news = true;              /* the stamp has changed since the observer read it */

bool up = true, cut = false, frozen = false, gone = false;
bool answered = true; /* the server has heard the worker since it came back */
#define reach (up && !cut)
#define awake (!frozen && !gone)

/* The worker. */
bool begun = false, waits = false; /* a beat was begun in this unit; one is under way */
bool lost = false;                   /* it knows, or has given up */
byte age = 0, asked = 0;             /* since the last beat that came through was begun, since this one was */
byte job = 0;                        /* the attempt whose processes run */
byte missed = 0;

/* The observer and its worker. */
byte still = 0, since = 0, amid = 0;
byte job2 = 0;

/* Of the proof alone. */
byte quiet = 0; /* since the server has heard the last beat */
byte then = 0;  /* that, when the observer read the stamp */
byte ends = 0, overlap = 0;
bool trouble = false, slept = false;
bool wronged = false, early = false, stolen = false;

#define count(c, limit) c = ((c) < (limit) -> (c) + 1 : (c))

inline giveup() {
	lost = true;
	trouble = true;
	job = 0
}

/* The watch is to act now. */
#ifdef HUNGBEAT
#define due (age >= FENCE && !waits)
#else
#define due (age >= FENCE)
#endif

active proctype Clock() {
	do
	:: d_step {
			/* What an awake worker does within a unit it has done. */
			(!awake || lost || (begun || waits) && !due && !(waits && reach)) ->
			count(age, LEASE);
			count(asked, LEASE);
			count(quiet, LEASE);
			count(since, COUNTS);
			count(amid, COUNTS);
			begun = false;
			if
			:: job > 0 && job2 > 0 && awake -> count(overlap, 3)
			:: else -> overlap = 0
			fi
		}
	od
}

active proctype Heartbeat() {
	do
	:: atomic { awake && !lost && !begun ->
			begun = true;
			waits = true;
			asked = 0
		};
		/* The kernel goes on with a call of a process that is suspended. */
		d_step { reach && !gone ->
			quiet = 0;
			news = news || entry;
			answered = true
		};
		atomic { reach && awake ->
			waits = false;
			if
			:: lost
#ifndef NOENTRY
			:: !lost && (!entry || !dir) -> giveup()
			:: !lost && entry && dir ->
#else
			:: !lost ->
#endif
#ifdef LATEBEAT
				age = 0;
#else
				age = asked;
#endif
				/* The audit. */
				if
				:: LOOKS && job > 0 && !(at == FIRST && attempt == job) ->
					missed++;
					if
					:: missed == 2 -> missed = 0; job = 0
					:: else
					fi
				:: else -> missed = 0
				fi
			fi;
			asked = 0
		}
	od
}

/* Runs apart from the beats, which may hang. */
active proctype Watch() {
	do
	:: atomic { awake && !lost && due -> giveup() }
	od
}

active proctype Work() {
	byte e = 0;
	bool ok = false;
	do
	:: atomic { awake && !lost && age < SUSPECT && at == PENDING && attempt < 2 -> e = attempt + 1 };
		atomic { reach && !gone ->
			ok = (at == PENDING && attempt == e - 1 && dir);
			if
			:: ok -> at = FIRST; attempt = e
			:: else
			fi
		};
		atomic { reach && awake ->
			if
			:: !dir && !lost -> giveup()
			:: else
			fi;
			if
			:: ok && !lost -> job = e
			:: else -> e = 0; ok = false; goto next
			fi
		};
		/* It runs, until its processes end or are stopped. */
		atomic { awake ->
			if
			:: job == 0 -> e = 0; ok = false; goto next /* stopped */
			:: else -> job = 0
			fi
		};
		atomic { reach && !gone ->
#ifdef CARELESS
			if
			:: at != DONE -> stolen = stolen || !(at == FIRST && attempt == e); at = DONE; ends++
#else
			if
			:: at == FIRST && attempt == e -> at = DONE; ends++
#endif
			:: else
			fi;
			e = 0;
			ok = false
		};
next:
		skip
	od
}

active proctype Observer() {
	bool seen = false;
	byte delta = 0;
	do
	:: atomic { true -> delta = since; amid = 0 };
#ifdef FAILEDLOOKS
		atomic {
			if
			:: up -> seen = news; news = false; then = quiet
			:: !up -> seen = false; then = quiet
			fi
		};
#else
		atomic { up -> seen = news; news = false; then = quiet };
#endif
		atomic {
#ifdef LATELOOK
			delta = since;
			amid = 0;
#endif
			if
			:: seen -> still = 0; since = 0
#ifdef ONELOOK
			:: else -> still = LEASE; since = 0
#else
			:: else -> still = (still + delta > LEASE -> LEASE : still + delta); since = amid
#endif
			fi;
#ifdef COMPARECLOCKS
			still = (quiet + LEASE / 2 >= LEASE -> LEASE : 0);
#endif
			delta = 0;
			seen = false;
			if
			:: still == LEASE ->
				early = then < LEASE;
				wronged = !trouble;
				still = 0;
				then = 0;
				break
			:: else -> then = 0
			fi
		}
	od;
	/* Reap. */
	do
	:: atomic { up ->
			if
			:: at == FIRST -> delta = attempt
			:: else -> delta = 0
			fi
		};
		atomic { up ->
			if
			:: delta > 0 && at == FIRST && attempt == delta -> at = PENDING
			:: else
			fi;
			delta = 0
		};
#ifdef NOFENCE
		break
#else
		atomic { up ->
			if
			:: at == FIRST /* ENOTEMPTY */
			:: else -> dir = false; break
			fi
		}
#endif
	od;
	atomic { up -> entry = false }
}

active proctype Second() {
	byte e = 0;
	do
	:: atomic { up && at == PENDING && attempt > 0 && attempt < 3 -> at = OTHER; attempt++; e = attempt; job2 = e };
		job2 = 0;
		atomic { up ->
			if
			:: at == OTHER && attempt == e -> at = DONE; ends++
			:: else
			fi;
			e = 0
		}
	od
}

active proctype World() {
#ifdef SUSPENSION
	byte left = 1;
#else
	byte left = 2;
#endif
	do
#ifdef OUTAGES
	:: atomic { left > 0 && up && (answered || lost) -> up = false; left-- }
	:: atomic { !up -> up = true; answered = false }
#endif
#ifdef PARTITION
	:: atomic { left > 0 && !cut -> cut = true; trouble = true; left-- }
	:: cut -> cut = false
#endif
#ifdef SUSPENSION
	:: atomic { left > 0 && !frozen -> frozen = true; trouble = true; slept = true; left-- }
	:: frozen -> frozen = false
#endif
#ifndef OUTAGES
	:: atomic { left > 0 && !gone -> gone = true; trouble = true; job = 0; break }
#endif
	:: up -> break
	od
}

#define p_beating (!wronged)
#define p_silent (!early)
#define p_refused (!stolen)
#define p_oneend (ends <= 1)
#define p_alone (slept || job == 0 || job2 == 0)
#define p_stops (overlap < 3)
#define p_back (entry || at != FIRST)

ltl safe { [] (p_beating && p_silent && p_refused && p_oneend && p_alone && p_stops && p_back) }
ltl beating { [] p_beating }
ltl silent { [] p_silent }
ltl refused { [] p_refused }
ltl oneend { [] p_oneend }
ltl alone { [] p_alone }
ltl stops { [] p_stops }
ltl back { [] p_back }
