/*
 * Every message of ipc_msgs.def, one case a row: what is put can be got,
 * nothing shorter and nothing longer, and the row tells its true lengths.
 */
#include "config.h"

#include "common/msg.h"

#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#include "common/ipc.h"

#define ROOM (IPC_BODY_MAX + 16)

struct row {
	char name[32];
	unsigned int id;
	unsigned int min;
	unsigned int max;
	size_t size; /* of the struct */
	int (*put)(struct wire_w *, const void *);
	int (*get)(struct wire_r *, void *);
};

/* The generated functions, under one type. */
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds)  \
	static int put_##NAME(struct wire_w *w, const void *m) \
	{                                                      \
		return msg_put_##NAME(w, m);                   \
	}                                                      \
	static int get_##NAME(struct wire_r *r, void *m)       \
	{                                                      \
		return msg_get_##NAME(r, m);                   \
	}
#include "common/ipc_msgs.def"
#undef IPC_MSG

static struct row rows[] = {
#define IPC_MSG(channel, dir, NAME, handler, id, states, fds)  \
	{#NAME, MSG_ID_##NAME, MSG_MIN_##NAME, MSG_MAX_##NAME, \
	    sizeof(struct msg_##NAME), put_##NAME, get_##NAME},
#include "common/ipc_msgs.def"
#undef IPC_MSG
};
#define NROWS (sizeof(rows) / sizeof(rows[0]))

Test(msg, numbers_are_used_once_and_named)
{
	size_t i, k;

	for (i = 0; i < NROWS; i++) {
		cr_expect(rows[i].id != 0);
		cr_expect(rows[i].min <= rows[i].max);
		cr_expect(rows[i].max <= IPC_BODY_MAX, "%s", rows[i].name);
		cr_expect_str_eq(msg_name(rows[i].id), rows[i].name);
		for (k = 0; k < i; k++)
			cr_expect(rows[i].id != rows[k].id);
	}
	cr_expect_str_eq(msg_name(0), "?");
}

ParameterizedTestParameters(msg, row)
{
	return cr_make_param_array(struct row, rows, NROWS);
}

ParameterizedTest(struct row *param, msg, row)
{
	static uint8_t buf[ROOM], again[ROOM];
	struct row *r = NULL;
	struct wire_w w;
	struct wire_r in;
	size_t i, len;
	void *m;

	for (i = 0; i < NROWS; i++)
		if (rows[i].id == param->id)
			r = &rows[i];
	m = calloc(1, r->size);

	/* All fields zero: the shortest message. */
	wire_w_init(&w, buf, sizeof(buf));
	cr_assert(r->put(&w, m) == 0, "%s", r->name);
	cr_assert(wire_w_len(&w) == (ssize_t)r->min, "%s: %zd", r->name,
	    wire_w_len(&w));
	/* And back. */
	wire_r_init(&in, buf, r->min);
	cr_assert(r->get(&in, m) == 0 && wire_r_end(&in) == 0, "%s", r->name);
	wire_w_init(&w, again, sizeof(again));
	cr_assert(r->put(&w, m) == 0);
	cr_assert(memcmp(buf, again, r->min) == 0);
	/* Each truncation is an error, a trailing byte is seen. */
	for (len = 0; len < r->min; len++) {
		wire_r_init(&in, buf, len);
		cr_assert(r->get(&in, m) == -1, "%s at %zu", r->name, len);
	}
	wire_r_init(&in, buf, (size_t)r->min + 1);
	cr_assert(r->get(&in, m) == 0 && wire_r_end(&in) == -1);
	/* Lengths that lead beyond the end. */
	memset(buf, 0xff, sizeof(buf));
	wire_r_init(&in, buf, r->max);
	if (r->get(&in, m) == 0) {
		wire_w_init(&w, again, sizeof(again));
		cr_assert(r->put(&w, m) == 0, "%s", r->name);
	}
	/* No room to write. */
	memset(m, 0, r->size);
	for (len = 0; len < r->min; len++) {
		wire_w_init(&w, again, len);
		cr_assert(r->put(&w, m) == -1, "%s into %zu", r->name, len);
	}
	free(m);
}
