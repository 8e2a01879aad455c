/* Configuration files and what a client can write as sizes and times: any text
 * is either refused with a reason, or gives values that can be freed. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "common/conf.h"
#include "common/err.h"
#include "server/server_conf.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = fuzz_string(data, len);
	struct server_conf c;
	struct err e = {.code = ERR_OK};
	uint64_t n;
	int flag;

	if (conf_parse(text, "fuzz", server_conf_opts, &c, sizeof(c), &e) == 0)
		server_conf_free(&c);
	else
		FUZZ_REQUIRE(e.code != ERR_OK && e.msg[0] != '\0');
	conf_to_size(text, &n);
	conf_to_duration_ms(text, &n);
	conf_to_bool(text, &flag);
	free(text);
	return 0;
}
