/*
 * Commands of operators to auth, as they stand in a CTL_REQUEST: the input is
 * the command and its "key=value" arguments, each ended by NUL.  They run on
 * accounts of their own; what one leaves there can be shown, exported and
 * imported again.
 */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "common/json.h"
#include "server/auth/accounts.h"
#include "server/auth/auth.h"
#include "server/auth/control.h"

static const struct {
	const char *name;
	const char *required;
	const char *optional;
	control_fn *run;
} commands[] = {
#define CONTROL_CMD(name, required, optional, function) \
	{name, required, optional, control_##function},
#include "server/auth/control_cmds.def"
#undef CONTROL_CMD
};

static struct auth auth;

/* What needs hashers or a certificate has tests of its own. */
static int
can_run(const struct control_args *args, const char *name)
{
	return control_arg(args, "password") == NULL &&
	    strcmp(name, "cert-info") != 0;
}

static void
run(const char *name, const char *data, size_t len)
{
	struct control_peer peer = {.auth = &auth, .who = "uid=0"};
	struct err e = {.code = ERR_OK};
	struct control_args args;
	struct control_call c = {&peer, &auth, &args, NULL};
	size_t i;

	if (control_args_parse(&args, data, len, &e) == -1) {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
		return;
	}
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0 ||
		    control_args_check(&args, commands[i].required,
			commands[i].optional, &e) == -1 ||
		    !can_run(&args, name))
			continue;
		c.reply = json_new_object();
		if (commands[i].run(&c, &e) == -1)
			FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
		FUZZ_REQUIRE(peer.job == NULL);
		json_free(&c.reply);
	}
}

/* Nothing is ever stored that would not be taken. */
static void
round_trip(void)
{
	struct json *all, *counts = json_new_object();
	struct err e;

	all = transfer_export(&auth, &e);
	FUZZ_REQUIRE(all != NULL || e.code == ERR_NOMEM || e.code == ERR_DB);
	if (all != NULL)
		FUZZ_REQUIRE(transfer_import(&auth, all, 1, counts, &e) == 0 ||
		    e.code == ERR_NOMEM || e.code == ERR_DB);
	json_free(&all);
	json_free(&counts);
}

static int
first_user(void *ctx, const char *userid, const struct account_user *u)
{
	(void)u;
	if (strcmp(userid, ACCOUNT_SUPERUSER) == 0)
		return 0;
	snprintf(ctx, IPC_AUTHID_MAX + 1, "%s", userid);
	return 1;
}

static void
forget(void)
{
	static const struct account_user root = {.enable = 1};
	char userid[IPC_AUTHID_MAX + 1];
	struct lmdb_txn *t;
	struct err e;

	if (accounts_begin(auth.accounts, 1, &t, &e) == -1)
		return;
	for (;;) {
		userid[0] = '\0';
		if (accounts_user_each(auth.accounts, t, first_user, userid,
			&e) == -1 ||
		    userid[0] == '\0' ||
		    accounts_user_del(auth.accounts, t, userid, &e) == -1)
			break;
	}
	accounts_user_put(auth.accounts, t, ACCOUNT_SUPERUSER, &root,
	    ACCOUNT_REPLACE, &e);
	accounts_commit(&t, &e);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len > 0 ? memchr(data, '\0', len) : NULL;
	struct err e;

	if (end == NULL)
		return 0;
	if (auth.accounts == NULL) {
		fuzz_folder();
		FUZZ_REQUIRE(
		    accounts_open(&auth.accounts, fuzz_folder_path, &e) == 0);
	}
	run("user-create", "userid=u@pbs", 13);
	end++;
	run((const char *)data, (const char *)end, len - (size_t)(end - data));
	round_trip();
	forget();
	return 0;
}
