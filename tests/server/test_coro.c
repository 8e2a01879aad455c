/* Coroutines: order, values on their stack, many of them, misuse. */
#include "config.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "server/coro.h"

struct trace {
	struct coro *c;
	char text[64];
	int rounds;
};

static void
add(struct trace *t, const char *s)
{
	strcat(t->text, s);
}

static void
yields(void *arg)
{
	struct trace *t = arg;
	int i;

	for (i = 0; i < t->rounds; i++) {
		add(t, "in ");
		coro_yield(t->c);
	}
	add(t, "end");
}

Test(coro, runs_only_when_resumed)
{
	struct trace t = {.rounds = 2};

	t.c = coro_new(yields, &t);
	cr_expect_str_eq(t.text, "");
	cr_expect_eq(coro_resume(t.c), 1);
	add(&t, "out ");
	cr_expect_eq(coro_resume(t.c), 1);
	add(&t, "out ");
	cr_expect_eq(coro_resume(t.c), 0);
	cr_expect_str_eq(t.text, "in out in out end");
	coro_free(t.c);
}

Test(coro, may_end_at_once_or_never_begin)
{
	struct trace t = {.rounds = 0};

	t.c = coro_new(yields, &t);
	coro_free(t.c);
	cr_expect_str_eq(t.text, "");
	t.c = coro_new(yields, &t);
	cr_expect_eq(coro_resume(t.c), 0);
	cr_expect_str_eq(t.text, "end");
	coro_free(t.c);
	coro_free(NULL);
}

#define BIG (200u << 10)

static void
fills_its_stack(void *arg)
{
	struct trace *t = arg;
	volatile unsigned char big[BIG];
	size_t i;

	for (i = 0; i < BIG; i++)
		big[i] = (unsigned char)(i * 7);
	coro_yield(t->c);
	for (i = 0; i < BIG; i++)
		if (big[i] != (unsigned char)(i * 7))
			return;
	add(t, "whole");
}

Test(coro, each_has_a_stack_of_its_own)
{
	struct trace t[3] = {{.c = NULL}};
	size_t i;

	for (i = 0; i < 3; i++) {
		t[i].c = coro_new(fills_its_stack, &t[i]);
		cr_expect_eq(coro_resume(t[i].c), 1);
	}
	for (i = 3; i-- > 0;) {
		cr_expect_eq(coro_resume(t[i].c), 0);
		cr_expect_str_eq(t[i].text, "whole");
		coro_free(t[i].c);
	}
}

#ifndef HOLDFAST_SANITIZERS /* which report it themselves */
static void
runs_over(void *arg)
{
	volatile unsigned char big[CORO_STACK_LEN];
	size_t i;

	for (i = CORO_STACK_LEN; i > 0; i--)
		big[i - 1] = 1;
	*(int *)arg = big[0];
}

/* A stack that is too small meets the guard page, not somebody's memory. */
Test(coro, guard_page, .signal = SIGSEGV)
{
	int sink;

	coro_resume(coro_new(runs_over, &sink));
}
#endif

Test(coro, cannot_be_resumed_when_it_is_over, .exit_code = 1)
{
	struct trace t = {.rounds = 0};

	t.c = coro_new(yields, &t);
	coro_resume(t.c);
	coro_resume(t.c);
}

Test(coro, cannot_be_freed_in_the_middle, .exit_code = 1)
{
	struct trace t = {.rounds = 1};

	t.c = coro_new(yields, &t);
	coro_resume(t.c);
	coro_free(t.c);
}
