/*
 * holdfast: the backup client.  Runs as whoever may read what is backed up;
 * distrusts the server, whose every answer is checked, as much as the server
 * distrusts it.
 */
#include "config.h"

#include "client/client.h"

#include <signal.h>
#include <stddef.h>

#include "common/table.h"

#define OFF(member) offsetof(struct client_opts, member)

static const struct cli_opt options[] = {
#define CLIENT_FLAG(name, member, letter, doc) \
	{(name), (letter), CLI_FLAG, OFF(member), NULL, NULL, NULL, (doc)},
#define CLIENT_STR(name, member, letter, arg, env, doc) \
	{(name), (letter), CLI_STR, OFF(member), (arg), (env), NULL, (doc)},
#define CLIENT_U64(name, member, letter, arg, doc) \
	{(name), (letter), CLI_U64, OFF(member), (arg), NULL, NULL, (doc)},
#define CLIENT_ENUM(name, member, choices, env, doc) \
	{(name), 0, CLI_ENUM, OFF(member), NULL, (env), (choices), (doc)},
#include "client/options.def"
#undef CLIENT_FLAG
#undef CLIENT_STR
#undef CLIENT_U64
#undef CLIENT_ENUM
    {.name = NULL},
};

static const struct cli_command commands[] = {
#define CLIENT_CMD(name, args, opts, min, max, function, doc) \
	{(name), (args), (opts), (min), (max), client_##function, (doc)},
#include "client/commands.def"
#undef CLIENT_CMD
    {.name = NULL},
};

static const struct cli_program program = {
    .name = "holdfast",
    .doc = "Backs up to a Holdfast or Proxmox Backup server, and restores.",
    .options = options,
    .common = "repository fingerprint output-format",
    .commands = commands,
    .footer = "The password is taken from PBS_PASSWORD, from the file named by "
	      "PBS_PASSWORD_FILE,\nor asked for.  For an API token it is the "
	      "token's secret.\n\nExit codes: 0 done, 1 failed, 2 wrong usage, "
	      "3 server not available, 4 not allowed.",
};

int
main(int argc, char **argv)
{
	struct client_opts opts = {0};

	signal(SIGPIPE, SIG_IGN);
	return cli_main(&program, argc, argv, &opts);
}
