#ifndef ADMIN_SHOW_H
#define ADMIN_SHOW_H

#include "admin/ctl.h"
#include "common/table.h"

struct admin_opts;
struct err;

/*
 * What most commands do: ask a daemon, print one member of its reply.
 */

/* Prints the array "member" of the reply as a table.  args may be NULL and
 * is freed. */
int admin_show_list(const struct admin_opts *o, enum ctl_daemon daemon,
    const char *command, struct ctl_args *args, const char *member,
    const struct table_col *cols, struct err *e);
/* For a command whose reply says nothing; args as above. */
int admin_do(const struct admin_opts *o, enum ctl_daemon daemon,
    const char *command, struct ctl_args *args, struct err *e);

#endif
