/*
 * holdfast-worker: started by holdfast-server, for one connection.
 */
#include "config.h"

#include <stdlib.h>

#include "common/err.h"
#include "common/log.h"
#include "common/proc.h"
#include "server/options.h"
#include "server/server_conf.h"
#include "server/worker.h"

int
main(int argc, char **argv)
{
	struct server_options options;
	struct server_conf conf;
	struct worker *w;
	struct err e = {0};
	int rv;

	server_options_parse(&options, argc, argv, "holdfast-worker",
	    "Serves one connection; started by holdfast-server.");
	log_init("holdfast-worker", LOG_F_INHERIT);
	if (server_conf_load(&conf, options.conf_path, &e) == -1) {
		log_err_e("worker", &e, "cannot read the configuration");
		return PROC_EXIT_CONFIG;
	}
	w = worker_new(&conf);
	rv = worker_run(w);
	worker_free(w);
	server_conf_free(&conf);
	return rv;
}
