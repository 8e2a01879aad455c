#ifndef VALIDATOR_CHECKER_WORK_H
#define VALIDATOR_CHECKER_WORK_H

/* What a checker does with each message of channel VC; the process around it
 * is checker_main.c, the validator's side checker.c. */

struct checker_work;
struct err;
struct event_base;

/* Takes fd, also on failure; closed as in struct ipc_cfg. */
struct checker_work *checker_work_new(struct event_base *base, int fd,
    void (*closed)(void *ctx, const struct err *why), void *ctx, struct err *e);
void checker_work_free(struct checker_work **w);

#endif
