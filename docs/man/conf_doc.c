/*
 * Prints the options of a configuration file as they stand in its manual page.
 * Runs when the pages are made.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/conf.h"
#include "server/server_conf.h"
#include "validator/validator_conf.h"

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		const struct conf_opt *opts;
	} files[] = {
	    {"server", server_conf_opts},
	    {"validator", validator_conf_opts},
	};
	size_t i;

	for (i = 0; argc == 2 && i < sizeof(files) / sizeof(files[0]); i++) {
		if (strcmp(argv[1], files[i].name) == 0) {
			conf_print_man(stdout, files[i].opts);
			return 0;
		}
	}
	fputs("usage: conf_doc server|validator\n", stderr);
	return 2;
}
