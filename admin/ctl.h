#ifndef ADMIN_CTL_H
#define ADMIN_CTL_H

#include <stdbool.h>

struct err;
struct json;

/*
 * Requests to the control sockets RUN/admin/{validator,auth}.sock: a command
 * and "key=value" arguments, answered by one JSON object.  Blocks, a minute
 * at most.
 */
enum ctl_daemon {
	CTL_VALIDATOR,
	CTL_AUTH,
};

/* Arguments of a request; ctl_arg() ignores a NULL value, so that options
 * that were not given are left out. */
struct ctl_args;
struct ctl_args *ctl_args_new(void);
/* Wipes and frees; NULL is fine. */
void ctl_args_free(struct ctl_args *a);
void ctl_arg(struct ctl_args *a, const char *key, const char *value);
void ctl_arg_u64(struct ctl_args *a, const char *key, unsigned long long v);

/* The reply belongs to the caller (json_free()).  args may be NULL.
 * ERR_UNAVAILABLE if the daemon cannot be reached; else what it answered. */
int ctl_call(const char *run_dir, enum ctl_daemon daemon, const char *command,
    const struct ctl_args *args, struct json **reply_out, struct err *e);

/* Whether ctl_call() failed since the daemon does not run: nothing was done,
 * and it does nothing else either.  Not so for one that is busy, or ends. */
bool ctl_is_down(const struct err *e);

#endif
