#ifndef VALIDATOR_CALL_H
#define VALIDATOR_CALL_H

#include <sys/queue.h>

#include <stdint.h>

/*
 * Management calls (messages CALL and CALL_DATA): the table is
 * common/call_ops.def.  Each brings a grant; its rights decide here, never in
 * the worker.  The work is done in threads of the store, or of the local pool
 * for what concerns no store.
 */
struct call;
TAILQ_HEAD(call_list, call);

/* The call's worker is gone: it goes on without an answer. */
void call_peer_gone(struct call *c);

/* For tests: which privileges a call wants.  free: any of these suffices.
 * owner: any of these, together with ownership. */
struct call_rights {
	uint32_t free;
	uint32_t owner;
};
/* 0, or -1 for a number that no row has. */
int call_rights_get(unsigned int op, struct call_rights *out);

#endif
