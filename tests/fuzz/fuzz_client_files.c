/* What holdfast reads on its own side: the repository, what is to be backed
 * up, the files of remembered fingerprints and kept tickets. */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "client/access.h"
#include "client/repository.h"
#include "client/spec.h"
#include "client/tls.h"
#include "client/trust.h"
#include "common/err.h"

#define SERVER "host:8007"

static void
try_repository(const char *text)
{
	char server[REPOSITORY_SERVER_MAX];
	struct err e = {.code = ERR_OK};
	struct repository r;

	if (repository_parse(&r, text, &e) == 0) {
		FUZZ_REQUIRE(r.host[0] != '\0' && r.port != 0);
		FUZZ_REQUIRE(datastore_name_valid(r.store));
		repository_server(&r, server);
	} else {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	}
}

static void
try_spec(const char *text)
{
	char archive[ARCHIVE_NAME_MAX + 1];
	enum archive_kind kind;
	struct spec s;
	struct err e;

	if (spec_parse(&s, text, &e) == 0) {
		FUZZ_REQUIRE(strchr(s.archive, '/') == NULL);
		FUZZ_REQUIRE(s.path[0] != '\0');
		FUZZ_REQUIRE(spec_archive(s.name, archive, &kind, &e) == 0);
		FUZZ_REQUIRE(strcmp(archive, s.archive) == 0);
		FUZZ_REQUIRE(kind == s.kind);
	}
}

static void
try_fingerprints(const uint8_t *data, size_t len)
{
	char path[512], found[TLS_FINGERPRINT_LEN + 1];
	char again[TLS_FINGERPRINT_LEN + 1];
	struct err e;

	fuzz_folder_put("known", data, len);
	snprintf(path, sizeof(path), "%s/known", fuzz_folder_path);
	if (trust_recall(path, SERVER, found, &e) != 1)
		return;
	FUZZ_REQUIRE(trust_parse_fingerprint(found, again, &e) == 0);
	FUZZ_REQUIRE(strcmp(found, again) == 0);
}

static void
try_tickets(const uint8_t *data, size_t len)
{
	struct auth_id who;
	struct ticket t;
	struct err e;

	FUZZ_REQUIRE(auth_id_parse(&who, "u@pbs", NULL) == 0);
	mkdirat(fuzz_folder(), "holdfast", 0700);
	fuzz_folder_put("holdfast/tickets", data, len);
	if (ticket_recall(&who, SERVER, &t, &e) == 1) {
		FUZZ_REQUIRE(strpbrk(t.ticket, "\r\n") == NULL);
		FUZZ_REQUIRE(strpbrk(t.csrf, "\r\n") == NULL);
		ticket_fini(&t);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = fuzz_string(data, len);

	fuzz_folder();
	setenv("XDG_RUNTIME_DIR", fuzz_folder_path, 1);
	try_repository(text);
	try_spec(text);
	try_fingerprints(data, len);
	try_tickets(data, len);
	free(text);
	return 0;
}
