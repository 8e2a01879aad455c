/* The state machine of the check of reused chunks: every transition, what is
 * told, and what finish waits for. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "validator/reuse.h"
#include "validator/store/bitmap.h"

#define BITS 20

static struct {
	unsigned int scans;
	uint32_t scan_file;
	unsigned int marks;
	char marked[128];
	unsigned int aborts;
	struct err why;
	unsigned int joins;
} seen;

static struct bitmap checked[2], referenced[2];

static void
on_scan(void *ctx, uint32_t file)
{
	(void)ctx;
	seen.scans++;
	seen.scan_file = file;
}

static void
on_mark(void *ctx, const char *what)
{
	(void)ctx;
	seen.marks++;
	snprintf(seen.marked, sizeof(seen.marked), "%s", what);
}

static void
on_abort(void *ctx, const struct err *why)
{
	(void)ctx;
	seen.aborts++;
	seen.why = *why;
}

static void
on_joined(void *ctx)
{
	(void)ctx;
	seen.joins++;
}

static struct reuse *
make(enum on_missing how, bool not_needed)
{
	struct reuse_cb cb = {
	    .scan = on_scan,
	    .mark = on_mark,
	    .abort = on_abort,
	    .joined = on_joined,
	};
	int i;

	memset(&seen, 0, sizeof(seen));
	for (i = 0; i < 2; i++) {
		cr_assert_eq(bitmap_init(&checked[i], BITS, NULL), 0);
		cr_assert_eq(bitmap_init(&referenced[i], BITS, NULL), 0);
	}
	return reuse_new(&cb, how, not_needed);
}

static void
add(struct reuse *r, uint32_t file)
{
	cr_assert_eq(reuse_add_file(r, file, &checked[file], &referenced[file],
			 NULL),
	    0);
}

static void
end(struct reuse *r)
{
	int i;

	reuse_free(&r);
	cr_assert_null(r);
	for (i = 0; i < 2; i++) {
		bitmap_fini(&checked[i]);
		bitmap_fini(&referenced[i]);
	}
}

static struct digest
digest(unsigned int n)
{
	struct digest d = {{0}};

	d.b[0] = (uint8_t)n;
	return d;
}

static void
refer(struct reuse *r, uint32_t file, uint64_t pos)
{
	struct digest d = digest((unsigned int)pos + 1);

	reuse_reference(r, file, pos, &d);
}

static void
miss(struct reuse *r, uint32_t file, uint64_t pos)
{
	struct digest d = digest((unsigned int)pos + 1);

	reuse_missing(r, file, pos, &d, false);
}

Test(reuse, first_file_starts_the_check)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	cr_assert_eq(reuse_state(r), REUSE_NOT_INITIALISED);
	add(r, 1);
	cr_assert_eq(reuse_state(r), REUSE_RUNNING);
	cr_assert_eq(seen.scans, 1);
	cr_assert_eq(seen.scan_file, 1);
	cr_assert(reuse_has_file(r, 1));
	cr_assert_not(reuse_has_file(r, 0));
	add(r, 0);
	cr_assert_eq(seen.scans, 2);
	cr_assert_eq(seen.scan_file, 0);
	end(r);
}

Test(reuse, recently_verified_base_is_not_checked)
{
	struct reuse *r = make(ON_MISSING_ABORT, true);

	add(r, 0);
	cr_assert_eq(reuse_state(r), REUSE_NOT_NEEDED);
	cr_assert_eq(seen.scans, 0);
	refer(r, 0, 3);
	cr_assert_eq(reuse_left(r), 0);
	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	cr_assert_eq(reuse_state(r), REUSE_NOT_NEEDED);
	reuse_unjoin(r);
	cr_assert_eq(reuse_state(r), REUSE_NOT_NEEDED);
	end(r);
}

Test(reuse, without_files_joins_at_once)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	cr_assert_eq(reuse_state(r), REUSE_JOINED);
	reuse_unjoin(r);
	cr_assert_eq(reuse_state(r), REUSE_NOT_INITIALISED);
	add(r, 0);
	cr_assert_eq(reuse_state(r), REUSE_RUNNING);
	end(r);
}

Test(reuse, waits_only_for_what_is_referenced)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	refer(r, 0, 2);
	refer(r, 0, 5);
	refer(r, 0, 5);
	cr_assert_eq(reuse_left(r), 2);
	reuse_join(r);
	cr_assert_eq(seen.joins, 0);
	bitmap_set(&checked[0], 2);
	reuse_progress(r);
	cr_assert_eq(reuse_left(r), 1);
	cr_assert_eq(seen.joins, 0);
	bitmap_set(&checked[0], 5);
	reuse_progress(r);
	cr_assert_eq(seen.joins, 1, "the other 18 are not waited for");
	cr_assert_eq(reuse_state(r), REUSE_JOINED);
	cr_assert_eq(reuse_checked(r), 2);
	reuse_progress(r);
	cr_assert_eq(seen.joins, 1);
	end(r);
}

Test(reuse, copied_file_is_referenced_whole)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	reuse_reference_all(r, 0);
	cr_assert_eq(reuse_left(r), BITS);
	end(r);
}

Test(reuse, wait_can_be_given_up_and_taken_up_again)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	refer(r, 0, 1);
	reuse_join(r);
	cr_assert_eq(seen.scans, 1);
	reuse_unjoin(r);
	cr_assert_eq(seen.scans, 2, "what was not referenced was left out");
	bitmap_set(&checked[0], 1);
	reuse_progress(r);
	cr_assert_eq(seen.joins, 0);
	cr_assert_eq(reuse_state(r), REUSE_RUNNING);
	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	cr_assert_eq(seen.scans, 2);
	reuse_unjoin(r);
	cr_assert_eq(reuse_state(r), REUSE_RUNNING);
	cr_assert_eq(seen.scans, 3, "what was found meanwhile was not told");
	end(r);
}

Test(reuse, missing_marks_first_then_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct digest d = digest(8);
	char hex[DIGEST_HEX_LEN + 1];

	add(r, 0);
	miss(r, 0, 7);
	digest_to_hex(&d, hex);
	cr_assert_eq(seen.marks, 1);
	cr_assert_not_null(strstr(seen.marked, hex));
	cr_assert_eq(seen.aborts, 0, "not before the mark is made");
	cr_assert_eq(reuse_missing_count(r), 1);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(reuse_state(r), REUSE_ABORTED);
	cr_assert_eq(seen.why.code, ERR_MISSING);
	cr_assert_not_null(strstr(seen.why.msg, hex));
	cr_assert_not_null(strstr(seen.why.msg, "marked as bad"));
	end(r);
}

Test(reuse, failing_mark_aborts_and_says_so)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct err e;

	add(r, 0);
	miss(r, 0, 7);
	err_set(&e, ERR_NOSPACE, "disk is full");
	reuse_marked(r, &e, false);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_not_null(strstr(seen.why.msg, "failed: disk is full"));
	end(r);
}

Test(reuse, vanished_base_is_said)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct err e;

	add(r, 0);
	miss(r, 0, 7);
	err_set(&e, ERR_NOT_FOUND, "no such file");
	reuse_marked(r, &e, true);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_not_null(strstr(seen.why.msg, "no previous snapshot any"));
	end(r);
}

Test(reuse, damaged_chunk_is_said)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct digest d = digest(1);

	add(r, 0);
	reuse_missing(r, 0, 0, &d, true);
	reuse_marked(r, NULL, false);
	cr_assert_not_null(strstr(seen.why.msg, "is damaged"));
	end(r);
}

Test(reuse, damaged_index_marks_and_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);

	reuse_damaged(r, "disk.img.fidx");
	cr_assert_eq(seen.marks, 0, "nothing is checked yet");
	add(r, 0);
	reuse_damaged(r, "disk.img.fidx");
	cr_assert_eq(seen.marks, 1);
	cr_assert_eq(seen.aborts, 0, "not before the mark is made");
	reuse_damaged(r, "other.img.fidx");
	cr_assert_eq(seen.marks, 1);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(seen.why.code, ERR_MISSING);
	cr_assert_str_eq(seen.why.msg,
	    "index \"disk.img.fidx\" of the previous snapshot is damaged; the "
	    "previous snapshot was marked as bad, the next backup will be a "
	    "full one");
	end(r);
}

Test(reuse, chunk_lost_after_the_join)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, true);
	struct digest d = {{7}};

	add(r, 0);
	cr_assert_eq(reuse_state(r), REUSE_NOT_NEEDED);
	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	reuse_lost(r, &d);
	cr_assert_eq(seen.marks, 1);
	cr_assert_eq(seen.aborts, 0, "not before the mark is made");
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(seen.why.code, ERR_MISSING);
	cr_assert_not_null(strstr(seen.why.msg, "found damaged meanwhile"));
	reuse_lost(r, &d);
	cr_assert_eq(seen.aborts, 1, "once is enough");
	end(r);
}

Test(reuse, chunk_lost_without_a_base)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct digest d = {{7}};

	reuse_join(r);
	reuse_lost(r, &d);
	reuse_marked(r, NULL, true);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, longest_reason_is_told_whole)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	char name[256];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	add(r, 0);
	reuse_damaged(r, name);
	reuse_marked(r, NULL, false);
	cr_assert_not_null(strstr(seen.why.msg, "a full one"));
	end(r);
}

Test(reuse, damage_found_after_a_tolerated_loss_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);

	add(r, 0);
	miss(r, 0, 3);
	reuse_marked(r, NULL, false);
	reuse_damaged(r, "disk.img.fidx");
	cr_assert_eq(seen.marks, 1);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_not_null(strstr(seen.why.msg, "disk.img.fidx"));
	end(r);
}

Test(reuse, other_errors_abort_without_a_mark)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct err e;

	add(r, 0);
	err_set(&e, ERR_IO, "disk is broken");
	reuse_failed(r, &e);
	cr_assert_eq(seen.marks, 0);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(seen.why.code, ERR_IO);
	cr_assert_eq(reuse_state(r), REUSE_ABORTED);
	end(r);
}

Test(reuse, aborted_stays_aborted)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);
	struct err e;

	add(r, 0);
	err_set(&e, ERR_IO, "disk is broken");
	reuse_failed(r, &e);
	reuse_failed(r, &e);
	miss(r, 0, 1);
	refer(r, 0, 2);
	reuse_progress(r);
	reuse_join(r);
	reuse_unjoin(r);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(seen.marks, 0);
	cr_assert_eq(seen.joins, 0);
	cr_assert_eq(reuse_add_file(r, 1, &checked[1], &referenced[1], &e), -1);
	end(r);
}

Test(reuse, missing_while_finish_waits_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	refer(r, 0, 3);
	reuse_join(r);
	miss(r, 0, 3);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	cr_assert_eq(seen.joins, 0);
	end(r);
}

Test(reuse, marking_holds_finish_back)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	miss(r, 0, 3);
	reuse_join(r);
	cr_assert_eq(seen.joins, 0);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.joins, 0);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, unreferenced_missing_is_tolerated_if_so_configured)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);

	add(r, 0);
	miss(r, 0, 3);
	cr_assert_eq(seen.marks, 1, "marked at once all the same");
	cr_assert_eq(seen.scans, 2, "and the scan goes on");
	cr_assert(bitmap_get(&checked[0], 3), "past it");
	reuse_marked(r, NULL, false);
	miss(r, 0, 4);
	cr_assert_eq(seen.marks, 1, "one mark is enough");
	cr_assert_eq(seen.aborts, 0);
	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	end(r);
}

Test(reuse, reference_to_a_known_missing_one_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);
	struct digest d = digest(4);

	add(r, 0);
	add(r, 1);
	miss(r, 0, 3);
	reuse_marked(r, NULL, false);
	/* The same chunk at another place. */
	reuse_reference(r, 1, 9, &d);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, reference_before_the_mark_waits_for_it)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);

	add(r, 0);
	miss(r, 0, 3);
	refer(r, 0, 3);
	cr_assert_eq(seen.aborts, 0);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, referenced_missing_aborts_in_both_modes)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);

	add(r, 0);
	refer(r, 0, 3);
	miss(r, 0, 3);
	reuse_marked(r, NULL, false);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, hopeless_base_is_given_up)
{
	struct reuse *r = make(ON_MISSING_ABORT_WHEN_REFERENCED, false);
	unsigned int i;

	add(r, 0);
	miss(r, 0, 0);
	reuse_marked(r, NULL, false);
	for (i = 1; i < REUSE_MISSING_MAX && seen.aborts == 0; i++)
		miss(r, 0, i % BITS);
	cr_assert_eq(i, REUSE_MISSING_MAX);
	cr_assert_eq(seen.aborts, 1);
	end(r);
}

Test(reuse, after_join_nothing_aborts)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	reuse_join(r);
	cr_assert_eq(seen.joins, 1);
	miss(r, 0, 3);
	cr_assert_eq(seen.aborts, 0);
	cr_assert_eq(seen.marks, 0);
	end(r);
}

Test(reuse, file_twice_is_our_own_mistake, .exit_code = 1)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	add(r, 0);
	add(r, 0);
	end(r);
}

Test(reuse, maps_of_a_restart_count)
{
	struct reuse *r = make(ON_MISSING_ABORT, false);

	bitmap_set(&referenced[0], 4);
	bitmap_set(&referenced[0], 5);
	bitmap_set(&checked[0], 5);
	add(r, 0);
	cr_assert_eq(reuse_left(r), 1);
	cr_assert_eq(reuse_checked(r), 1);
	end(r);
}
