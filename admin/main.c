/*
 * holdfast-admin: the operator's command.  Runs as root or as a member of
 * group holdfast-admin, and asks the daemons over their control sockets; only
 * the datastore commands write files, those of the configuration folder.
 */
#include "config.h"

#include "admin/admin.h"

#include <stddef.h>

#include "common/table.h"

#define OFF(member) offsetof(struct admin_opts, member)

static const struct cli_opt options[] = {
#define ADMIN_FLAG(name, member, letter, doc) \
	{(name), (letter), CLI_FLAG, OFF(member), NULL, NULL, NULL, (doc)},
#define ADMIN_STR(name, member, letter, arg, env, doc) \
	{(name), (letter), CLI_STR, OFF(member), (arg), (env), NULL, (doc)},
#define ADMIN_U64(name, member, letter, arg, doc) \
	{(name), (letter), CLI_U64, OFF(member), (arg), NULL, NULL, (doc)},
#define ADMIN_ENUM(name, member, choices, doc) \
	{(name), 0, CLI_ENUM, OFF(member), NULL, NULL, (choices), (doc)},
#include "admin/options.def"
#undef ADMIN_FLAG
#undef ADMIN_STR
#undef ADMIN_U64
#undef ADMIN_ENUM
    {.name = NULL},
};

static const struct cli_command commands[] = {
#define ADMIN_CMD(name, args, opts, min, max, function, doc) \
	{(name), (args), (opts), (min), (max), admin_##function, (doc)},
#include "admin/commands.def"
#undef ADMIN_CMD
    {.name = NULL},
};

#define DAEMONS "systemctl status holdfast-auth holdfast-validator"

static const struct cli_hint hints[] = {
    {ERR_UNAVAILABLE, NULL, DAEMONS},
    {ERR_TIMEOUT, NULL, DAEMONS},
    {ERR_PERM, NULL, NULL},
    {ERR_NOT_FOUND, "acl", "holdfast-admin acl list"},
    {ERR_NOT_FOUND, "session", "holdfast-admin session list"},
    {ERR_NOT_FOUND, "task", "holdfast-admin task list"},
    {ERR_NOT_FOUND, "token", "holdfast-admin token list"},
    {ERR_NOT_FOUND, "user", "holdfast-admin user list"},
    {ERR_NOT_FOUND, "datastore", "holdfast-admin datastore list"},
    {ERR_NOT_FOUND, "gc", "holdfast-admin datastore list"},
    {ERR_NOT_FOUND, "verify", "holdfast-admin datastore list"},
    {.code = ERR_OK},
};

static const struct cli_program program = {
    .name = "holdfast-admin",
    .doc = "Manages a Holdfast server on this machine.",
    .options = options,
    .common = "config-dir run-dir output-format",
    .commands = commands,
    .hints = hints,
};

int
main(int argc, char **argv)
{
	struct admin_opts opts = {0};

	return cli_main(&program, argc, argv, &opts);
}
