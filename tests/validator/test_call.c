/* The rights of the management calls: a second, independent writing of
 * wire-protocol 6.3, compared with the table for every call. */
#include "config.h"

#include <criterion/criterion.h>

#include "common/privs.h"
#include "validator/call.h"
#include "validator/call_int.h"

#define A PRIV_DATASTORE_AUDIT
#define R PRIV_DATASTORE_READ
#define M PRIV_DATASTORE_MODIFY
#define B PRIV_DATASTORE_BACKUP
#define P PRIV_DATASTORE_PRUNE
#define V PRIV_DATASTORE_VERIFY

/* 0 and 0: the call decides by itself, see row->rights or row->begin. */
static const struct {
	enum call_op op;
	uint32_t free;
	uint32_t owner;
} want[] = {
    {CALL_STORE_LIST, 0, 0},
    {CALL_STORE_STATUS, 0, 0},
    {CALL_NS_LIST, 0, 0},
    {CALL_NS_CREATE, M, 0},
    {CALL_NS_DELETE, M, 0},
    {CALL_GROUP_LIST, 0, 0},
    {CALL_GROUP_DELETE, M, P},
    {CALL_GROUP_NOTES_GET, A, B},
    {CALL_GROUP_NOTES_SET, M, B},
    {CALL_GROUP_OWNER, 0, 0},
    {CALL_SNAP_LIST, 0, 0},
    {CALL_SNAP_FILES, A | R, B},
    {CALL_SNAP_DELETE, M, P},
    {CALL_SNAP_NOTES_GET, A, B},
    {CALL_SNAP_NOTES_SET, M, B},
    {CALL_PROTECTED_GET, A, B},
    {CALL_PROTECTED_SET, M, B},
    {CALL_LOG_UPLOAD, 0, B},
    {CALL_PRUNE, M, P},
    {CALL_GC_START, M, 0},
    {CALL_GC_STATUS, A, 0},
    {CALL_VERIFY_START, V, B},
    {CALL_TASK_LIST, 0, 0},
    {CALL_TASK_STATUS, 0, 0},
    {CALL_TASK_LOG, 0, 0},
    {CALL_TASK_STOP, 0, 0},
    {CALL_PRUNE_STORE, M, P},
};
#define NWANT (sizeof(want) / sizeof(want[0]))

static const struct call_row *const tables[] = {call_store_rows,
    call_group_rows, call_snap_rows, call_prune_rows, call_gc_rows,
    call_task_rows, call_verify_rows};

static const struct call_row *
find(enum call_op op)
{
	const struct call_row *row, *found = NULL;
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (row = tables[i]; row->op != 0; row++) {
			if (row->op != op)
				continue;
			cr_assert_null(found, "call %d has two rows", op);
			found = row;
		}
	}
	return found;
}

Test(call, rights_are_those_of_the_specification)
{
	struct call_rights r;
	size_t i;

	for (i = 0; i < NWANT; i++) {
		cr_assert_eq(call_rights_get(want[i].op, &r), 0);
		cr_expect_eq(r.free, want[i].free, "call %d", want[i].op);
		cr_expect_eq(r.owner, want[i].owner, "call %d", want[i].op);
	}
	cr_assert_eq(call_rights_get(0, &r), -1);
	cr_assert_eq(call_rights_get(9999, &r), -1);
}

Test(call, every_call_is_known_and_has_one_row)
{
	unsigned int op, known = 0;
	struct call_rights r;

	for (op = 0; op < 65536; op++) {
		if (call_rights_get(op, &r) == -1)
			continue;
		known++;
		cr_expect_not_null(find((enum call_op)op), "call %u", op);
	}
	cr_assert_eq(known, NWANT, "a new call needs a line here");
}

Test(call, rows_are_whole)
{
	const struct call_row *row;
	size_t i;

	for (i = 0; i < NWANT; i++) {
		row = find(want[i].op);
		cr_assert_not_null(row);
		cr_expect(row->begin != NULL || row->run != NULL, "call %d",
		    row->op);
		/* Whoever may by ownership needs a group to own. */
		if (want[i].owner != 0 && row->rights == NULL &&
		    row->op != CALL_VERIFY_START)
			cr_expect(row->flags & (CALL_F_GROUP | CALL_F_SNAP),
			    "call %d", row->op);
		if (row->flags & CALL_F_LOCK)
			cr_expect_not_null(row->lock_text, "call %d", row->op);
		/* What needs Modify changes something. */
		if (want[i].free == M)
			cr_expect(row->flags & CALL_F_WRITES, "call %d",
			    row->op);
		if (row->flags & (CALL_F_GROUP | CALL_F_SNAP | CALL_F_WRITES))
			cr_expect(row->flags & CALL_F_STORE, "call %d",
			    row->op);
	}
}
