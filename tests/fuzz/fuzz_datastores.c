/* validator.conf and a file of datastores.d: each is taken for both.  What is
 * accepted names its datastores once, in order. */
#include "config.h"

#include "tests/fuzz/folder.h"
#include "tests/fuzz/fuzz.h"

#include <sys/stat.h>

#include "common/err.h"
#include "validator/validator_conf.h"

static void
load(void)
{
	struct err e = {.code = ERR_OK};
	struct validator_conf c;
	char path[512];
	size_t i;

	snprintf(path, sizeof(path), "%s/validator.conf", fuzz_folder_path);
	if (validator_conf_load(&c, path, &e) == -1) {
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
		return;
	}
	for (i = 0; i < c.nstores; i++) {
		FUZZ_REQUIRE(validator_conf_store(&c, c.stores[i]->title) ==
		    c.stores[i]);
		FUZZ_REQUIRE(i == 0 ||
		    strcmp(c.stores[i - 1]->title, c.stores[i]->title) < 0);
	}
	FUZZ_REQUIRE(validator_conf_changed(&c, &c) == NULL);
	validator_conf_free(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	mkdirat(fuzz_folder(), "datastores.d", 0700);
	fuzz_folder_put("validator.conf", "", 0);
	fuzz_folder_put("datastores.d/a.conf", data, len);
	load();
	fuzz_folder_put("validator.conf", data, len);
	fuzz_folder_put("datastores.d/a.conf", "", 0);
	load();
	return 0;
}
