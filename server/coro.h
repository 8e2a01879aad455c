#ifndef SERVER_CORO_H
#define SERVER_CORO_H

/*
 * A function with a stack of its own that can wait in the middle: parsers of
 * archives ask for bytes and cannot return to the event loop until they have
 * them.  No threads; exactly one of the two runs.
 */
struct coro;

#define CORO_STACK_LEN (256u << 10) /* and a page that cannot be touched */

/* fn runs from the first coro_resume() on. */
struct coro *coro_new(void (*fn)(void *arg), void *arg);
/* Only before it began or when it is over.  NULL is accepted. */
void coro_free(struct coro *c);
/* Runs it until it yields or returns; 1 as long as it is not over.  Not from
 * inside a coroutine. */
int coro_resume(struct coro *c);
/* From inside: back to whoever resumed it. */
void coro_yield(struct coro *c);

#endif
