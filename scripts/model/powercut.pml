/* powercut.pml: one job, put or dropped, whose machine loses its power at any moment.
 *
 * Models: spool/FORMAT.md section 5 (Put, Claim, Settle, Reap), section 7, section 8, section 11
 * Code: spool/put.go (stage, syncContent, publish, settleSync), spool/drop.go (adopt, publishDrop, nameDrop), spool/claim.go (Claim), spool/settle.go (SyncSettled), spool/recover.go (Resolve, later)
 *
 * The job has one file, and names: bit DIRECTORY * 3 + ATTEMPT of a set. There is the set
 * that programs see and the one that is on the disk; a power cut makes the first of the
 * second. Other programs sync any directory at any time, and the file system by itself.
 * Journal: a sync of anything writes all that went before. Btree: a sync of a directory
 * writes that directory's names, so that a job can be on the disk under both names, unless
 * something was renamed out of it: then all is written. (Both as measured on ext4, xfs and
 * btrfs: TestPowerCutTable.) A program acts between any two of these.
 * After each cut the first worker resolves, then reaps.
 * Left out: the directories themselves, hours, records, bindings but for whether they are on
 * the disk, edits, and removals (of all names of a job: TestChangesAfterAPowerCut).
 *
 * Variant JOURNAL: put, on ext4 or xfs.
 * Variant ORDERED: put, on ext4 or xfs, where the file is written out and not synced.
 * Variant BTREE: put, on btrfs.
 * Variant DROPPED: dropped, on btrfs.
 *
 * Property kept: what was acknowledged is there, in one of the states.
 * Property onename: after recovery a job has one name.
 * Property whole: no name of a job stands for a file that is not on the disk whole.
 * Property over: a job whose end was told of never runs again.
 * Property onejob: no second job comes of one file.
 * Property bounded: no attempt from the second on begins twice, though the job brings its
 *   machine down each time. The first can: its claim is synced while it runs already, so a
 *   job that does that within a moment of its start begins anew each time.
 *
 * Mutant NOFSYNC breaks whole JOURNAL: the file is not synced before it gets its name.
 * Mutant NOWRITEOUT breaks whole ORDERED: the file is not written out before it gets its name.
 * Mutant NOSYNCDIR breaks kept JOURNAL: an id is told before the directory is synced.
 * Mutant UNSYNCEDEND breaks over JOURNAL: an end is told before it is on the disk.
 * Mutant UNSYNCEDCLAIM breaks bounded JOURNAL: no claim is synced.
 * Mutant NORESOLVE breaks onename BTREE: nobody looks for second names.
 * Mutant OLDESTWINS breaks over BTREE: of two names the earlier one stays.
 * Mutant RENAMES breaks onename BTREE: the second name is renamed onto the first.
 * Mutant NOSEARCH breaks onejob DROPPED: a drop whose id was bound to it before is adopted without a search.
 * Mutant NUMBERED breaks onejob DROPPED: a drop that is a job already is given the next free id.
 */
#define CUTS 3
#define ALLOWED 2

#define INCOMING 0 /* tmp/, or a drop in pending/ */
#define PENDING 1
#define PROCESSING 2
#define ENDED 3
#define at(d, a) (1 << ((d) * 3 + (a)))
#define STATES (7 << 3 | 7 << 6 | 7 << 9)
#define of(d) (7 << ((d) * 3))
#ifdef DROPPED
#define ARRIVALS 0
#else
#define ARRIVALS of(INCOMING)
#endif
#ifdef ORDERED
#define JOURNAL
#define WRITTEN 0 /* its first name may be on the disk later */
#else
#define WRITTEN at(INCOMING, 0)
#endif
#ifdef NOWRITEOUT
#define NOFSYNC
#endif
#ifdef NOFSYNC
#define synced true
#else
#define synced data
#endif
#define several(s) (((s) & ((s) - 1)) != 0)

short seen = at(INCOMING, 0), disk = 0;
byte moved = 0; /* directories out of which something was renamed since all was written */
bool data = false; /* the file's content is on the disk */

/* What programs have in their memory. */
byte held = 0, step = 0; /* the attempt that runs, and how far its worker is */
bool named = false;      /* the put has renamed its file, and syncs */
bool recovered = true;
short most = 0;

/* Of the proof alone. */
bool acknowledged = false, reported = false, endkept = false;
bool rerun = false, twice = false, torn = false, second = false;
byte ran = 0; /* the attempts from the second on that have begun, as bits */
byte cuts = CUTS;

/* A drop lies in pending/. */
#ifdef DROPPED
#define place(d) ((d) == INCOMING -> PENDING : (d))
#define names(d) ((d) == PENDING -> of(INCOMING) | of(PENDING) : of(d))
#else
#define place(d) (d)
#define names(d) of(d)
#endif

inline move(d1, a1, d2, a2) {
	seen = (seen & ~at(d1, a1)) | at(d2, a2);
	moved = moved | (1 << place(d1))
}

inline writeall() {
	disk = seen;
	moved = 0;
	endkept = endkept || (disk & of(ENDED)) != 0
}

inline sync(d) {
#ifdef JOURNAL
	writeall()
#else
	if
	:: moved & (1 << (d)) -> writeall()
	:: else ->
		disk = (disk & ~(names(d))) | (seen & (names(d)));
		endkept = endkept || (disk & of(ENDED)) != 0
	fi
#endif
}

/* The name of those in most that counts: the higher attempt, then the later state. */
inline best(set) {
	if
	:: set & at(ENDED, 2) -> most = at(ENDED, 2)
	:: else ->
		if
		:: set & at(PROCESSING, 2) -> most = at(PROCESSING, 2)
		:: else ->
			if
			:: set & at(ENDED, 1) -> most = at(ENDED, 1)
			:: else ->
				if
				:: set & at(PROCESSING, 1) -> most = at(PROCESSING, 1)
				:: else ->
					if
					:: set & at(PENDING, 1) -> most = at(PENDING, 1)
					:: else -> most = at(PENDING, 0)
					fi
				fi
			fi
		fi
	fi
}

active proctype Machine() {
	byte a = 0;
#ifdef DROPPED
	disk = seen;
#endif
	do
	/* Put, or adopt. */
	:: atomic { !data && (seen & at(INCOMING, 0)) -> data = true; disk = disk | WRITTEN }
	:: atomic { recovered && synced && (seen & at(INCOMING, 0)) ->
			if
			:: (seen & STATES) == 0 -> move(INCOMING, 0, PENDING, 0); named = true
			:: else ->
#ifdef NOSEARCH
				second = true;
#endif
#ifdef NUMBERED
				second = true;
#endif
				seen = seen & ~at(INCOMING, 0) /* it is a job already: set aside */
			fi
		}
#ifndef DROPPED
#ifdef NOSYNCDIR
	:: atomic { named && !acknowledged -> acknowledged = true; named = false }
#else
	:: atomic { named && !acknowledged -> sync(PENDING); acknowledged = true; named = false }
#endif
#endif
	/* Claim. */
	:: atomic { recovered && held == 0 && (seen & (at(PENDING, 0) | at(PENDING, 1))) ->
			a = (seen & at(PENDING, 1) -> 1 : 0);
			move(PENDING, a, PROCESSING, a + 1);
			held = a + 1;
#ifdef UNSYNCEDCLAIM
			step = 2;
#else
			step = (held == 1 -> 2 : 0);
#endif
			a = 0
		}
	:: atomic { held > 0 && step == 0 -> sync(PROCESSING); step = 1 }
	:: atomic { held > 0 && step == 1 -> sync(PENDING); step = 2 }
	/* Run. */
	:: atomic { held > 0 && step == 2 ->
			rerun = rerun || reported || endkept;
			twice = twice || held > 1 && (ran & (1 << held)) != 0;
			ran = (held > 1 -> ran | (1 << held) : ran);
			step = 3
		}
	/* Settle. */
	:: atomic { held > 0 && step == 3 ->
			if
			:: move(PROCESSING, held, ENDED, held); step = 4
			:: held < ALLOWED -> move(PROCESSING, held, PENDING, held); held = 0; step = 0
			fi
		}
#ifdef UNSYNCEDEND
	:: atomic { held > 0 && step == 4 -> reported = true; held = 0; step = 0 }
#else
	:: atomic { held > 0 && step == 4 -> sync(ENDED); step = 5 }
	:: atomic { held > 0 && step == 5 -> sync(PROCESSING); reported = true; held = 0; step = 0 }
#endif
	/* Others, and the file system. */
	:: d_step { disk != seen -> writeall() }
	:: atomic { disk != seen -> sync(PENDING) }
	:: atomic { disk != seen -> sync(PROCESSING) }
	:: atomic { disk != seen -> sync(ENDED) }
	/* The power goes. */
	:: d_step { cuts > 0 ->
			cuts--;
			seen = disk;
			moved = 0;
			held = 0;
			step = 0;
			named = false;
			recovered = false;
			torn = torn || !data && (seen & (STATES)) != 0
		}
	/* Recover: one name less each time. */
	:: atomic { !recovered && several(seen & (STATES | ARRIVALS)) ->
#ifdef NORESOLVE
			recovered = true
#else
#ifdef RENAMES
			recovered = true
#else
			most = 0;
			best((seen & (STATES)));
#ifdef OLDESTWINS
			seen = seen & ~most
#else
			if
			:: (seen & (STATES | ARRIVALS) & ~most) & of(INCOMING) -> seen = seen & ~of(INCOMING)
			:: else -> a = 0; seen = (seen & ~((STATES) & ~most))
			fi;
			most = 0
#endif
#endif
#endif
		}
	:: atomic { !recovered && !several(seen & (STATES | ARRIVALS)) -> recovered = true }
	/* Reap: lost with the machine. */
	:: atomic { recovered && held == 0 && (seen & of(PROCESSING)) ->
			a = (seen & at(PROCESSING, 2) -> 2 : 1);
			if
			:: a < ALLOWED -> move(PROCESSING, a, PENDING, a)
			:: else -> move(PROCESSING, a, ENDED, a)
			fi;
			a = 0
		}
	od
}

#define p_kept (!acknowledged || (seen & (STATES)) != 0)
#define p_onename (!recovered || !several(seen & (STATES | ARRIVALS)))
#define p_whole (!torn)
#define p_over (!rerun)
#define p_onejob (!second)
#define p_bounded (!twice)

ltl safe { [] (p_kept && p_onename && p_whole && p_over && p_onejob && p_bounded) }
ltl kept { [] p_kept }
ltl onename { [] p_onename }
ltl whole { [] p_whole }
ltl over { [] p_over }
ltl onejob { [] p_onejob }
ltl bounded { [] p_bounded }
