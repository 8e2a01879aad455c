#ifndef ADMIN_EXPIRE_H
#define ADMIN_EXPIRE_H

struct ctl_args;
struct err;

/* The value of --expire as the argument "expire" in Unix seconds; NULL adds
 * none. ERR_PARAM. */
int expire_arg(struct ctl_args *a, const char *value, struct err *e);

#endif
