/* Tickets, CSRF tokens, control arguments, ACL paths: what clients and
 * operators send to auth as text.  Nothing unsigned may ever pass. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/err.h"
#include "server/auth/acl.h"
#include "server/auth/control.h"
#include "server/auth/secrets.h"
#include "server/auth/ticket.h"
#include "server/auth/tls_message.h"

#define NOW 1795337624

/* The fuzzer does not know the keys, so whatever it finds is a forgery. */
static void
try_ticket(const uint8_t *data, size_t len)
{
	static const struct secrets s = {.ticket = {1}, .csrf = {2}};
	char user[IPC_AUTHID_MAX + 1];

	FUZZ_REQUIRE(ticket_check(&s, data, len, NOW, user, NULL) == -1);
	FUZZ_REQUIRE(user[0] == '\0');
	FUZZ_REQUIRE(csrf_check(&s, "bob@pbs", data, len, NOW, NULL) == -1);
}

static void
try_arguments(const uint8_t *data, size_t len)
{
	struct control_args args;
	size_t i;

	if (control_args_parse(&args, (const char *)data, len, NULL) == -1)
		return;
	FUZZ_REQUIRE(args.n <= CONTROL_ARGS_MAX);
	for (i = 0; i < args.n; i++)
		FUZZ_REQUIRE(
		    control_arg(&args, args.v[i].key) == args.v[i].value);
}

static void
try_path(const uint8_t *data, size_t len)
{
	char *s = fuzz_string(data, len);

	if (acl_path_check(s, NULL) == 0) {
		FUZZ_REQUIRE(s[0] == '/' && strlen(s) <= ACL_PATH_MAX);
		FUZZ_REQUIRE(strstr(s, "//") == NULL);
		FUZZ_REQUIRE(strcmp(s, "/") == 0 || s[strlen(s) - 1] != '/');
	}
	free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	try_ticket(data, len);
	try_arguments(data, len);
	try_path(data, len);
	tls_message_check(0x0403, data, len, NULL);
	return 0;
}
