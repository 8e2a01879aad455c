#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "common/cli.h"

/*
 * The commands of holdfast-admin.  Each is a row of admin/commands.def and a
 * function of its topic's file (cmd_datastore.c, cmd_user.c, ...); each
 * option a row of admin/options.def.
 */
struct admin_opts {
#define ADMIN_FLAG(name, member, letter, doc) int member;
#define ADMIN_STR(name, member, letter, arg, env, doc) const char *member;
#define ADMIN_U64(name, member, letter, arg, doc) struct cli_u64 member;
#define ADMIN_ENUM(name, member, choices, doc) int member;
#include "admin/options.def"
#undef ADMIN_FLAG
#undef ADMIN_STR
#undef ADMIN_U64
#undef ADMIN_ENUM
};

#define ADMIN_CMD(name, args, options, min, max, function, doc) \
	cli_run_fn admin_##function;
#include "admin/commands.def"
#undef ADMIN_CMD

#endif
