/*
 * Coroutines over ucontext(3).  Runs in a worker; needs no system call that
 * the sandbox does not have already.
 */
#include "config.h"

#include "server/coro.h"

#include <sys/mman.h>

#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

enum coro_state {
	CORO_NEW,
	CORO_SUSPENDED,
	CORO_RUNNING,
	CORO_OVER
};

struct coro {
	enum coro_state state;
	void (*fn)(void *arg);
	void *arg;
	ucontext_t self;
	ucontext_t resumer;
	uint8_t *map; /* the guard page, then the stack */
	size_t map_len;
};

/* makecontext() passes integers only. */
static void
coro_main(unsigned int high, unsigned int low)
{
	struct coro *c = (struct coro *)((uintptr_t)high << 32 | low);

	c->fn(c->arg);
	c->state = CORO_OVER;
	/* uc_link leads back to the resumer. */
}

struct coro *
coro_new(void (*fn)(void *arg), void *arg)
{
	struct coro *c = xcalloc(1, sizeof(*c));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	c->fn = fn;
	c->arg = arg;
	c->map_len = page + CORO_STACK_LEN;
	c->map = mmap(NULL, c->map_len, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (c->map == MAP_FAILED || mprotect(c->map, page, PROT_NONE) == -1 ||
	    getcontext(&c->self) == -1)
		fatal_sys("coro", "cannot make a stack");
	c->self.uc_stack.ss_sp = c->map + page;
	c->self.uc_stack.ss_size = CORO_STACK_LEN;
	c->self.uc_link = &c->resumer;
	makecontext(&c->self, (void (*)(void))coro_main, 2,
	    (unsigned int)((uint64_t)(uintptr_t)c >> 32),
	    (unsigned int)(uintptr_t)c);
	return c;
}

void
coro_free(struct coro *c)
{
	if (c == NULL)
		return;
	if (c->state != CORO_NEW && c->state != CORO_OVER)
		fatal("coro", "freed in the middle");
	munmap(c->map, c->map_len);
	free(c);
}

int
coro_resume(struct coro *c)
{
	if (c->state != CORO_NEW && c->state != CORO_SUSPENDED)
		fatal("coro", "resumed in a wrong state");
	c->state = CORO_RUNNING;
	if (swapcontext(&c->resumer, &c->self) == -1)
		fatal_sys("coro", "cannot switch stacks");
	return c->state != CORO_OVER;
}

void
coro_yield(struct coro *c)
{
	c->state = CORO_SUSPENDED;
	if (swapcontext(&c->self, &c->resumer) == -1)
		fatal_sys("coro", "cannot switch stacks");
}
