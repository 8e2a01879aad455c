#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "common/cli.h"

/*
 * The commands of holdfast: each is a row of client/commands.def and a
 * function of its topic's file; each option a row of client/options.def.
 */
struct client_opts {
#define CLIENT_FLAG(name, member, letter, doc) int member;
#define CLIENT_STR(name, member, letter, arg, env, doc) const char *member;
#define CLIENT_U64(name, member, letter, arg, doc) struct cli_u64 member;
#define CLIENT_ENUM(name, member, choices, env, doc) int member;
#include "client/options.def"
#undef CLIENT_FLAG
#undef CLIENT_STR
#undef CLIENT_U64
#undef CLIENT_ENUM
};

#define CLIENT_CMD(name, args, options, min, max, function, doc) \
	cli_run_fn client_##function;
#include "client/commands.def"
#undef CLIENT_CMD

#endif
