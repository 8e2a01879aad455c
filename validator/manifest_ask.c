/*
 * Asks a checker of a manifest (manifest_ask.h).  Runs in the validator's
 * loop.  The bytes are a client's: only a checker looks at them.
 */
#include "config.h"

#include "validator/manifest_ask.h"

#include <stdlib.h>

#include "common/mem.h"

struct manifest_ask {
	struct checker_pool *pool;
	const struct arena *in;
	int fd;
	struct checker_op op;
	manifest_ask_fn *fn;
	void *arg;
	struct checker *checker;
	bool again; /* it is the second one */
};

static void ask_answered(void *arg, const struct checker_manifest *m);

static int
ask_try(struct manifest_ask *a, struct err *e)
{
	a->checker = checker_take(a->pool, a->in, e);
	if (a->checker == NULL)
		return -1;
	return checker_manifest_op(a->checker, a->fd, &a->op, ask_answered, a,
	    e);
}

static void
ask_answered(void *arg, const struct checker_manifest *m)
{
	struct manifest_ask *a = arg;
	struct checker_manifest failed = {.out_len = 0};
	const uint8_t *out = NULL;

	if (!a->again &&
	    (m->err.code == ERR_ABORTED || m->err.code == ERR_UNAVAILABLE)) {
		a->again = true;
		checker_release(&a->checker);
		if (ask_try(a, &failed.err) == 0)
			return;
		m = &failed;
	}
	if (m->err.code == ERR_OK && m->out_len > 0)
		out = checker_at(a->checker, checker_manifest_block(a->checker),
		    m->out_len);
	a->fn(a->arg, m, out);
}

struct manifest_ask *
manifest_ask_new(struct checker_pool *p, const struct arena *in, int fd,
    const struct checker_op *op, manifest_ask_fn *fn, void *arg, struct err *e)
{
	struct manifest_ask *a = xcalloc(1, sizeof(*a));

	a->pool = p;
	a->in = in;
	a->fd = fd;
	a->op = *op;
	a->fn = fn;
	a->arg = arg;
	if (ask_try(a, e) == -1)
		manifest_ask_free(&a);
	return a;
}

void
manifest_ask_free(struct manifest_ask **ap)
{
	struct manifest_ask *a = *ap;

	*ap = NULL;
	if (a == NULL)
		return;
	checker_release(&a->checker);
	free(a);
}
