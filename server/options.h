#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

/* The command line of the server's programs, the same for each. */
struct server_options {
	const char *conf_path;
	int foreground;
	int debug;
	int auth_apart; /* holdfast-auth is a service of its own */
};

/* Prints help, version or a complaint and ends the process, or returns. */
void server_options_parse(struct server_options *o, int argc, char **argv,
    const char *program, const char *purpose);

#endif
