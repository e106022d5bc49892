/* claim.pml: one job that slots claim, settle and give back, and that a reaper takes
 * away from them at any moment, whether they live or not.
 *
 * Models: spool/FORMAT.md section 5 (Claim, Settle, Reap), section 11
 * Code: spool/claim.go (Claim, Resume, Held, Abandon), spool/settle.go (settle), spool/reap.go (reapRound), spool/put.go (move)
 *
 * The state of the spool is the job's one name: its directory, ATTEMPT and LOST. A rename is one
 * step that fails if the name is not there. Slots 0 and 1 are of one worker and claim into
 * one directory; slot 2 is of another. What a slot knows of the job is as old as it likes.
 * Left out: DUE, priorities, turns, cancellations, the directory's rmdir (lease.pml), fsync
 * (powercut.pml), and outcomes that differ from done and failed only in where they go.
 *
 * Variant LOCAL: a call says what it did.
 * Variant NETWORK: a call that was executed may say that it failed, also with ENOENT; the
 *   look for its destination may fail too.
 *
 * Property oneend: the job ends once.
 * Property ended: what has ended stays so.
 * Property own: no settlement takes effect on the claim of another.
 * Property begunonce: no attempt is begun twice.
 * Property told: who is told that his settlement is made has made it, and who is told
 *   that the claim was lost has not.
 *
 * Mutant NOATTEMPT breaks own LOCAL: the names do not count the attempts.
 * Mutant NOREGISTER breaks begunonce NETWORK: two slots of a worker may try the same name.
 * Mutant TWOSTEPS breaks begunonce LOCAL: a claim looks first and then takes.
 * Mutant NOVERIFY breaks told NETWORK: an error is believed.
 * Mutant CARELESS breaks told LOCAL: ENOENT is taken for success.
 * Mutant BLINDRESUME breaks begunonce NETWORK: who resumes a claim does not look whether it is there.
 * Mutant SAMENAME breaks told NETWORK: a reaper gives a job back under the name that a failed attempt gives it.
 */
#ifdef LOCAL
#define MAXATTEMPT 3
#else
#define MAXATTEMPT 2
#endif
#define NOBODY 7

#define PENDING 0
#define PROCESSING 1
#define ENDED 2

#define worker(x) ((x) >> 1)

/* The name. */
byte state = PENDING, dir = NOBODY, attempt = 0, lost = 0;

/* What each worker has noted in its memory: the claims that are not over (claim.go, claims). */
bool noted[8];
#define note(x, e) noted[worker(x) * 4 + (e)]

/* Of the proof alone. */
byte claimant = NOBODY; /* whose claim it is */
byte ends = 0;
bool begun[4];
bool again = false, stolen = false, misled = false;

#ifdef NOATTEMPT
#define same(e) true
#else
#define same(e) (attempt == (e))
#endif
#define claimed(x, e) (state == PROCESSING && dir == worker(x) && same(e))
#define over (state == ENDED || state == PENDING && attempt >= MAXATTEMPT)

/* move on a network: a call that was executed may say that it was not. Then the destination
 * is looked for, later; that look can fail too, which sure tells. */
#ifdef NETWORK
#ifndef NOVERIFY
#define LOOKS
#endif
#endif
#ifdef LOOKS
#define replied(did, seen) \
	if \
	:: did -> ok = true; sure = true \
	:: d_step { ok = (seen); sure = true } \
	:: ok = false; sure = false \
	fi
#else
#ifdef NETWORK
#define replied(did, seen) \
	if \
	:: did -> ok = true; sure = true \
	:: ok = false; sure = true \
	fi
#else
#define replied(did, seen) ok = did; sure = true
#endif
#endif

proctype Slot(byte x) {
	byte e = 0, to = 0, l = 0;
	bool ok = false, did = false, sure = false, second = false;
top:
	atomic { e = 0; to = 0; l = 0; ok = false; did = false; sure = false; second = false };
	if
	:: over -> goto end
	:: atomic { state == PENDING && attempt < MAXATTEMPT -> e = attempt + 1; l = lost }
	:: atomic { state == PROCESSING && dir == worker(x) -> e = attempt; l = lost }; /* listed, and perhaps not running */
		goto resume
	fi;
	/* Claim. */
#ifndef NOREGISTER
	if
	:: atomic { note(x, e) -> goto top }
	:: atomic { else -> note(x, e) = true }
	fi;
#endif
#ifdef TWOSTEPS
	did = (state == PENDING && attempt == e - 1);
#endif
	d_step {
#ifndef TWOSTEPS
		did = (state == PENDING && attempt == e - 1);
#endif
		if
		:: did -> state = PROCESSING; dir = worker(x); attempt = e; claimant = x
		:: else
		fi
	};
	replied(did, claimed(x, e));
	if
	:: ok -> goto job
	:: else -> note(x, e) = false; goto top
	fi;
resume:
	if
	:: atomic { note(x, e) -> goto top }
	:: atomic { else -> note(x, e) = true }
	fi;
#ifndef BLINDRESUME
	if
	:: claimed(x, e)
	:: else -> note(x, e) = false; goto top
	fi;
#endif
job:
	atomic {
		claimant = (claimed(x, e) -> x : claimant); /* another's whose reply was lost */
		again = again || begun[e];
		begun[e] = true
	};
	if
	:: to = ENDED
	:: to = PENDING
	:: goto end
	fi;
	d_step {
		did = false;
		second = false
	};
settle:
	atomic {
		if
		:: claimed(x, e) ->
			stolen = stolen || claimant != x;
			state = to;
			dir = NOBODY;
			claimant = NOBODY;
			ends = ends + (to == ENDED -> 1 : 0);
			did = true
		:: else
		fi
	};
	replied(did, state == to && attempt == e && lost == l);
	if
	:: !sure && !second -> second = true; goto settle
	:: !sure && second -> goto forget /* nothing is known, and nobody is told anything */
	:: sure
	fi;
#ifdef CARELESS
	ok = true;
#endif
	/* What went back to pending/ may have gone on before it could be seen there. */
	d_step { misled = misled || ok && !did || !ok && did && to == ENDED };
forget:
	note(x, e) = false;
	goto top;
end:
	skip
}

/* Takes any claim for a dead worker's, at any moment, and acts on what it has seen long
 * ago. */
active proctype Reaper() {
	byte o = NOBODY, e = 0;
	do
	:: over -> break
	:: atomic { state == PROCESSING -> o = dir; e = attempt };
		d_step {
			if
			:: state == PROCESSING && dir == o && same(e) ->
				state = PENDING;
				dir = NOBODY;
				claimant = NOBODY;
#ifndef SAMENAME
				lost++;
#endif
			:: else
			fi;
			o = NOBODY;
			e = 0
		}
	od
}

init {
	atomic {
		run Slot(0);
		run Slot(1);
		run Slot(2)
	}
}

#define p_oneend (ends <= 1)
#define p_ended (ends == 0 || state == ENDED)
#define p_own (!stolen)
#define p_begunonce (!again)
#define p_told (!misled)

ltl safe { [] (p_oneend && p_ended && p_own && p_begunonce && p_told) }
ltl oneend { [] p_oneend }
ltl ended { [] p_ended }
ltl own { [] p_own }
ltl begunonce { [] p_begunonce }
ltl told { [] p_told }
