/*
 * The command line of the server's programs.  Runs first in each of them, as
 * whoever started it; the arguments are the operator's or the master's.
 */
#include "config.h"

#include "server/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/proc.h"
#include "server/server_conf.h"

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void
options_usage(FILE *f, const char *program, const char *purpose)
{
	fprintf(f,
	    "usage: %s [-adfhV] [-c FILE]\n"
	    "%s\n\n"
	    "  -a             holdfast-auth is a service of its own: do not start it\n"
	    "  -c FILE        configuration (%s)\n"
	    "  -d             log more\n"
	    "  -f             log to stderr\n"
	    "  -h, --help     this text\n"
	    "  -V, --version  version\n",
	    program, purpose, SERVER_CONF_DEFAULT);
}

void
server_options_parse(struct server_options *o, int argc, char **argv,
    const char *program, const char *purpose)
{
	int c;

	memset(o, 0, sizeof(*o));
	o->conf_path = SERVER_CONF_DEFAULT;
	while ((c = getopt_long(argc, argv, "ac:dfhV", long_options, NULL)) !=
	    -1) {
		switch (c) {
		case 'a':
			o->auth_apart = 1;
			break;
		case 'c':
			o->conf_path = optarg;
			break;
		case 'd':
			o->debug = 1;
			break;
		case 'f':
			o->foreground = 1;
			break;
		case 'h':
			options_usage(stdout, program, purpose);
			exit(0);
		case 'V':
			printf("%s %s\n", program, PACKAGE_VERSION);
			exit(0);
		default:
			options_usage(stderr, program, purpose);
			exit(PROC_EXIT_USAGE);
		}
	}
	if (optind != argc) {
		options_usage(stderr, program, purpose);
		exit(PROC_EXIT_USAGE);
	}
}
