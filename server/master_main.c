/*
 * holdfast-server: the backup server's parent process.
 */
#include "config.h"

#include <stdlib.h>

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/proc.h"
#include "server/master.h"
#include "server/options.h"
#include "server/server_conf.h"

int
main(int argc, char **argv)
{
	struct server_options options;
	struct server_conf conf;
	struct master *m;
	struct err e = {0};
	char *path;
	int rv;

	server_options_parse(&options, argc, argv, "holdfast-server",
	    "Serves the Proxmox Backup protocol over HTTPS.");
	log_init("holdfast-server",
	    (options.foreground ? LOG_F_STDERR : 0) |
		(options.debug ? LOG_F_DEBUG : 0));
	/* Children start in another folder, perhaps. */
	path = realpath(options.conf_path, NULL);
	if (path == NULL)
		path = xstrdup(options.conf_path);
	if (server_conf_load(&conf, path, &e) == -1) {
		log_err_e("server", &e, "cannot read the configuration");
		free(path);
		return PROC_EXIT_CONFIG;
	}
	m = master_new(&conf, path, options.auth_apart);
	rv = master_run(m);
	master_free(m);
	free(path);
	return rv;
}
